//! Writes the OpenAPI document into the file that is named:
//! `cargo run --locked -p coffer-api --features openapi --example openapi -- docs/openapi.json`.

fn main() -> std::io::Result<()> {
    let file = std::env::args().nth(1).expect("name a file to write");
    let document = coffer_api::openapi::document();
    std::fs::write(file, format!("{document:#}\n"))
}
