//! `enforce`, `soft` and `off`: what an unsigned caller may do, and what never.

use busauth::{AuthMode, http_signature::SIGNATURE};
use control_api::{Me, NewUser, ProblemCode, Users};
use http::{HeaderName, HeaderValue, StatusCode, header};
use membership_store::BusRole;

use crate::support::{Bus, Settings};

async fn bus_in(mode: AuthMode) -> Bus {
    Bus::start_with(Settings { mode, ..Settings::default() }).await
}

#[tokio::test]
async fn enforce_refuses_the_header_that_names_a_user() {
    let bus = bus_in(AuthMode::Enforce).await;
    bus.get(&bus.admin, "/v1/me").named(&bus.admin).problem(ProblemCode::HeaderRefused).await;
    let value = HeaderValue::from_str(&bus.admin.id().to_string()).unwrap();
    let both = bus.get(&bus.admin, "/v1/me").header(HeaderName::from_static("unibus-user"), value);
    both.problem(ProblemCode::HeaderRefused).await;
}

#[tokio::test]
async fn soft_and_off_take_the_name_without_its_admin_rights() {
    for mode in [AuthMode::Soft, AuthMode::Off] {
        let bus = bus_in(mode).await;
        let alice = bus.admit("alice", BusRole::Member).await;
        let me: Me = bus.get(&alice, "/v1/me").named(&alice).ok(StatusCode::OK).await;
        assert_eq!(me.user.id, alice.id());
        bus.get(&alice, "/v1/users").named(&alice).ok::<Users>(StatusCode::OK).await;

        let card = busauth::Identity::generate().card(Some("mallory".parse().unwrap()));
        let new = NewUser { card, handle: None, role: control_api::BusRole::Admin };
        let call = bus.post(&bus.admin, "/v1/users", &new);
        call.named(&bus.admin).problem(ProblemCode::AdminRequired).await;

        bus.get(&alice, "/v1/me").unsigned().problem(ProblemCode::SignatureMissing).await;
        let nobody = HeaderValue::from_static("somebody");
        let call =
            bus.get(&alice, "/v1/me").unsigned().header(HeaderName::from_static("unibus-user"), nobody);
        call.problem(ProblemCode::HeaderRefused).await;
    }
}

#[tokio::test]
async fn a_signature_that_is_there_is_right_in_every_mode() {
    for mode in [AuthMode::Soft, AuthMode::Off] {
        let bus = bus_in(mode).await;
        bus.get(&bus.admin, "/v1/me").ok::<Me>(StatusCode::OK).await;
        let garbage = HeaderValue::from_static("unibus=:AAAA:");
        bus.get(&bus.admin, "/v1/me").header(SIGNATURE, garbage).problem(ProblemCode::SignatureInvalid).await;
        let stranger = busauth::Identity::generate();
        bus.get(&stranger, "/v1/me").problem(ProblemCode::UserUnknown).await;
    }
}

#[tokio::test]
async fn off_is_not_for_proxies() {
    let bus = bus_in(AuthMode::Off).await;
    for name in [header::FORWARDED, HeaderName::from_static("x-forwarded-for")] {
        let call =
            bus.get(&bus.admin, "/v1/me").header(name.clone(), HeaderValue::from_static("for=192.0.2.1"));
        call.problem(ProblemCode::HeaderRefused).await;
        let call = bus.get(&bus.admin, "/v1/info").unsigned().header(name, HeaderValue::from_static("x"));
        call.problem(ProblemCode::HeaderRefused).await;
    }
    let enforcing = bus_in(AuthMode::Enforce).await;
    let call = enforcing.get(&enforcing.admin, "/v1/me");
    call.header(header::FORWARDED, HeaderValue::from_static("for=192.0.2.1")).ok::<Me>(StatusCode::OK).await;
}
