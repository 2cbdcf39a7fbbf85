//! The published vector of RFC 9180, appendix A.2.1, for exactly the suite that sealed keys use.

use data_encoding::HEXLOWER;
use hpke::{Deserializable as _, OpModeR, aead::ChaCha20Poly1305, kdf::HkdfSha256, setup_receiver};

use super::{Encapsulated, Kem, PrivateKey};

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

#[test]
fn rfc_9180_appendix_a_2_1() {
    let secret = hex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
    let encapsulated = hex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
    let ciphertext =
        hex("1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28");
    let mut receiver = setup_receiver::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeR::Base,
        &PrivateKey::from_bytes(&secret).unwrap(),
        &Encapsulated::from_bytes(&encapsulated).unwrap(),
        b"Ode on a Grecian Urn",
    )
    .unwrap();
    assert_eq!(receiver.open(&ciphertext, b"Count-0").unwrap(), b"Beauty is truth, truth beauty");
}
