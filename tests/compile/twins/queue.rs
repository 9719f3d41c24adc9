//! A request is what is handed to the door.

use coffer::door::Request;

pub fn decide(request: &Request) -> String {
    request.id.to_string()
}
