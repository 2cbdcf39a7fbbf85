//! `membershipd user …`: the allowlist, for whoever has a shell on the bus host.

mod card;
mod print;

use std::io::Write;

use busauth::{Handle, UserId};
use control_api::{BusRole, NewUser, Revoked, Settled, UserInfo, UserPatch, Users};
use http::Method;

use crate::args::{UserArgs, UserCommand};
use crate::config::{DataPaths, Environment};
use crate::failure::Failure;
use crate::first_start;
use crate::local_api::{LocalApi, Missing};

/// Users asked for at a time.
const PAGE: usize = 500;

/// Runs one command against the bus whose data is here.
pub(super) async fn run(
    arguments: UserArgs,
    environment: &Environment,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let paths = DataPaths::load(&arguments.location, environment)?;
    // What was typed is checked before anything is opened or made.
    let (job, json) = Job::of(arguments.command)?;
    let missing = if matches!(job, Job::Add(_)) { Missing::Create } else { Missing::Refuse };
    let api = LocalApi::open(&paths, missing).await?;
    let outcome = job.run(&api, &paths).await;
    api.close().await;
    print::outcome(&outcome?, json, out)
}

/// A command whose arguments have been read.
enum Job {
    Add(Box<NewUser>),
    List,
    Show(UserRef),
    Revoke(UserRef),
    SetRole(UserRef, UserPatch),
}

/// What a command found or did.
enum Outcome {
    Added(UserInfo),
    Listed(Vec<UserInfo>),
    Found(UserInfo),
    Revoked(Settled<Revoked>),
    Changed(Settled<UserInfo>),
}

/// How a user is named on the command line.
enum UserRef {
    Id(UserId),
    Handle(Handle),
}

impl Job {
    fn of(command: UserCommand) -> Result<(Self, bool), Failure> {
        Ok(match command {
            UserCommand::Add { card, handle, role, json } => {
                let card = card::read(&card)?;
                let handle = handle.map(|handle| usage::<Handle>("--handle", &handle)).transpose()?;
                if handle.is_none() && card.handle.is_none() {
                    return Err(Failure::usage("the card names no handle: add --handle NAME"));
                }
                (Self::Add(Box::new(NewUser { card, handle, role: usage("--role", &role)? })), json)
            }
            UserCommand::List { json } => (Self::List, json),
            UserCommand::Show { user, json } => (Self::Show(UserRef::parse(&user)?), json),
            UserCommand::Revoke { user, json } => (Self::Revoke(UserRef::parse(&user)?), json),
            UserCommand::SetRole { user, role, json } => {
                let role: BusRole = usage("ROLE", &role)?;
                (Self::SetRole(UserRef::parse(&user)?, UserPatch { role }), json)
            }
        })
    }

    async fn run(self, api: &LocalApi, paths: &DataPaths) -> Result<Outcome, Failure> {
        Ok(match self {
            Self::Add(user) => {
                let added = api.send(Method::POST, "/v1/users", user.as_ref()).await?;
                // The daemon leaves the marker when it finds users at start; this is that moment's stand-in.
                first_start::mark(paths)?;
                Outcome::Added(added)
            }
            Self::List => Outcome::Listed(list(api).await?),
            Self::Show(user) => Outcome::Found(user.find(api).await?),
            Self::Revoke(user) => {
                let path = format!("/v1/users/{}", user.id(api).await?);
                Outcome::Revoked(api.ask(Method::DELETE, &path).await?)
            }
            Self::SetRole(user, patch) => {
                let path = format!("/v1/users/{}", user.id(api).await?);
                Outcome::Changed(api.send(Method::PATCH, &path, &patch).await?)
            }
        })
    }
}

async fn list(api: &LocalApi) -> Result<Vec<UserInfo>, Failure> {
    let mut users = Vec::new();
    let mut path = format!("/v1/users?limit={PAGE}");
    loop {
        let page: Users = api.ask(Method::GET, &path).await?;
        users.extend(page.users);
        match page.next {
            Some(next) => path = format!("/v1/users?limit={PAGE}&after={next}"),
            None => return Ok(users),
        }
    }
}

impl UserRef {
    fn parse(text: &str) -> Result<Self, Failure> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        match text.parse() {
            Ok(handle) => Ok(Self::Handle(handle)),
            Err(_) => Err(Failure::usage(format!("\"{text}\" is neither a handle nor a user id"))),
        }
    }

    async fn find(&self, api: &LocalApi) -> Result<UserInfo, Failure> {
        match self {
            Self::Id(id) => Ok(api.ask(Method::GET, &format!("/v1/users/{id}")).await?),
            Self::Handle(handle) => {
                let found: Users = api.ask(Method::GET, &format!("/v1/users?handle={handle}")).await?;
                found.users.into_iter().next().ok_or_else(|| Failure::NoSuchUser(handle.to_string()))
            }
        }
    }

    async fn id(&self, api: &LocalApi) -> Result<UserId, Failure> {
        match self {
            Self::Id(id) => Ok(*id),
            Self::Handle(_) => Ok(self.find(api).await?.id),
        }
    }
}

fn usage<T>(argument: &str, text: &str) -> Result<T, Failure>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| Failure::usage(format!("{argument} {text}: {error}")))
}
