//! The tests' registrar by itself, for the demo: prints its address, then a line for each request.

use sip_profiles_tests::registrar::{Behaviour, Registrar};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let registrar = Registrar::start(Behaviour::default()).await;
    println!("{}", registrar.address());
    let mut told = 0;
    loop {
        registrar.changed().await;
        for received in registrar.requests().iter().skip(told) {
            let message = &received.message;
            let what = if message.expires() == 0 { "de-registers" } else { "registers" };
            let credentials =
                if message.has_credentials() { "with credentials" } else { "without credentials" };
            println!("registrar: {} {what} {credentials}", message.aor());
            told += 1;
        }
    }
}
