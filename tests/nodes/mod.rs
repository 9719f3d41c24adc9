//! Built servers, one or two on a database: what one has answered holds on the other, through kills, stops and lost
//! connections. Each node is a process of its own.

mod alone;
mod lost;
mod together;
