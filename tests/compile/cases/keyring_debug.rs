//! E0277: The keys that seal are not printed.

use coffer::door::Cx;

fn decide(cx: &Cx<'_>) -> String {
    format!("{:?}", cx.keys)
}

fn main() {}
