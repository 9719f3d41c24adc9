//! Secrets: written, read, listed, and their whole life.
//! The examples are of `payments/prod`, which every vault begins with.

mod life;
mod listing;
mod reading;
mod writing;

/// The secret that most stories are about.
const STRIPE: &str = "/secrets/payments/prod/stripe";
