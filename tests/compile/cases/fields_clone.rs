//! E0277: The fields of a version are not copied as a whole.

use coffer::model::Fields;

fn decide(fields: &Fields) -> Fields {
    copied(fields)
}

fn copied<T: Clone>(what: &T) -> T {
    what.clone()
}

fn main() {}
