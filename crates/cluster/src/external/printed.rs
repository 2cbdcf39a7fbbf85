//! The part of a nats-server's configuration that an operator adds for us: a pure function of public keys.

use std::{fmt, str::FromStr};

use super::keys::{ExternalKeys, PublicKeys};
use crate::service_keys::Account;

const MAX_CHARS: usize = 63;

/// What the servers' system account is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemAccount(String);

/// The text is no name of a system account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a system account is called by 1 to {MAX_CHARS} of the characters a-z, A-Z, 0-9, -, _ and $, and not AUTH, CTL or BUS, which are for other purposes"
)]
pub struct SystemAccountError;

impl Default for SystemAccount {
    fn default() -> Self {
        Self(Account::Sys.name().to_owned())
    }
}

impl FromStr for SystemAccount {
    type Err = SystemAccountError;

    fn from_str(text: &str) -> Result<Self, SystemAccountError> {
        let taken = [Account::Auth, Account::Ctl, Account::Bus].iter().any(|account| account.name() == text);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte);
        let fits = (1..=MAX_CHARS).contains(&text.len()) && text.bytes().all(plain);
        if fits && !taken { Ok(Self(text.to_owned())) } else { Err(SystemAccountError) }
    }
}

impl fmt::Display for SystemAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The configuration to add to every server of an external NATS. It holds public keys only.
pub fn external_config(keys: &ExternalKeys, system_account: &SystemAccount) -> String {
    let PublicKeys { issuer, exchange, auth, ctl, bus, sys, ctl_canary, bus_canary } = keys.public();
    format!(
        r#"# For membershipd, made by `membershipd external-config`. It holds public keys and no secret.
# It belongs into the configuration of every server. Accounts of your own stay beside these four.
# The servers have to be restarted: auth_callout is not reloaded.

accounts {{
  # Where membershipd is asked who may log in. Nothing else happens here.
  AUTH {{
    users: [
      {{
        nkey: "{auth}"
        permissions: {{ subscribe: ["$SYS.REQ.USER.AUTH"], publish: ["$SYS._INBOX.>"] }}
      }}
    ]
  }}
  # Users, rooms and keys. Nobody but membershipd enters.
  CTL {{
    jetstream: enabled
    users: [
      {{ nkey: "{ctl}" }}
      # Never gets in: membershipd tries it, to see that this account is closed to users of this file.
      {{ nkey: "{ctl_canary}", permissions: {{ subscribe: {{ deny: [">"] }}, publish: {{ deny: [">"] }} }} }}
    ]
  }}
  # The members of the bus, each with the rights that membershipd says.
  BUS {{
    jetstream: enabled
    users: [
      {{ nkey: "{bus}" }}
      # Never gets in, as above.
      {{ nkey: "{bus_canary}", permissions: {{ subscribe: {{ deny: [">"] }}, publish: {{ deny: [">"] }} }} }}
    ]
  }}
  # The system account. If you have one, add the user to it.
  "{system_account}" {{
    users: [
      {{ nkey: "{sys}" }}
    ]
  }}
}}
system_account: "{system_account}"

authorization {{
  # Less than 2: some clients take the first PING of the server for a mistake when it comes before the answer.
  timeout: 1.5
  auth_callout {{
    issuer: "{issuer}"
    xkey: "{exchange}"
    account: AUTH
    auth_users: [
      "{auth}"
      "{ctl}"
      "{bus}"
      "{sys}"
    ]
    # Users of other accounts log in as before; those of these three have to be let in by membershipd.
    allowed_accounts: [ AUTH, CTL, BUS ]
  }}
}}
"#
    )
}

#[cfg(test)]
mod tests;
