//! A node's place in a cluster, from the settings to what the crate `cluster` takes.
//!
//! What is wrong with it is found by the guards of that crate, and reported together with everything else.

use std::time::{Duration, SystemTime};

use cluster::{
    ClusterConfig, ClusterName, ExecHelper, Limits, NodeName, PairFiles, Replicas, RouteLogin, RouteSecret,
    RouteTlsFiles, RouteUser, SecretPlaces, SecretSource, Sync, Violation,
};

use super::exposure::{Exposure, TlsSource};
use super::layers::Environment;
use super::problem::ConfigProblem;
use super::reader::Reader;
use super::setting::Setting;
use super::streams::{StreamSync, Streams};
use crate::args::NodeFlags;

/// The nats-server that is run unless another is named.
pub(crate) const DEFAULT_PROGRAM: &str = "nats-server";
/// What makes this program the one that turns into a nats-server: the first argument, hidden from people.
pub const LAUNCH: &str = "launch-nats-server";
/// Stands for a name that is missing while the rest is looked at.
const PLACEHOLDER: &str = "unnamed";
/// The election of a leader may take most of this: a bound below it would shut healthy nodes.
const SHORTEST_BOUND: Duration = Duration::from_secs(20);
const LONGEST_BOUND: Duration = Duration::from_mins(10);
const DEFAULT_BOUND: Duration = Duration::from_secs(30);

/// A node's place in a cluster.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// What the node is started with. The certificate for clients is missing where the bus makes its own.
    pub node: ClusterConfig,
    /// How long users are let in on what was known last.
    pub staleness_bound: Duration,
    secret_from: Option<SecretSource>,
    own_authority: bool,
}

/// What a cluster's settings depend on besides themselves.
pub(super) struct Surroundings<'a> {
    pub(super) flags: &'a NodeFlags,
    pub(super) environment: &'a Environment,
    /// Absent when it cannot be used, which is reported already.
    pub(super) exposure: Option<&'a Exposure>,
    pub(super) streams: &'a Streams,
    pub(super) http_port: u16,
    pub(super) nats_port: u16,
}

/// What only means something in a cluster.
const OF_CLUSTERS: [Setting; 9] = [
    Setting::CLUSTER_PORT,
    Setting::ROUTES,
    Setting::CLUSTER_USER,
    Setting::CLUSTER_PASS_FILE,
    Setting::ROUTE_TLS_CERT,
    Setting::ROUTE_TLS_KEY,
    Setting::ROUTE_TLS_CA,
    Setting::NATS_SERVER,
    Setting::STALENESS_BOUND,
];

/// Settings of a cluster without its name: somebody means to form one, and would run alone without noticing.
pub(super) fn refuse_without_cluster(reader: &mut Reader<'_>, surroundings: &Surroundings<'_>) {
    refuse_of_clusters(reader, surroundings);
    let replicas = reader.text(Setting::KV_REPLICAS, Replicas::ONE, parse_replicas);
    if replicas != Replicas::ONE {
        reader.refuse(
            &[Setting::KV_REPLICAS],
            format!("{replicas} copies need as many nodes: set --cluster-name, or leave it at 1"),
        );
    }
}

/// The same, of what has no meaning at a NATS that somebody else runs, either.
pub(super) fn refuse_of_clusters(reader: &mut Reader<'_>, surroundings: &Surroundings<'_>) {
    let mut meaningless: Vec<Setting> =
        OF_CLUSTERS.into_iter().filter(|setting| reader.is_set(*setting)).collect();
    if surroundings.flags.cluster_pass.is_some() {
        meaningless.push(Setting::CLUSTER_PASS);
    }
    if !meaningless.is_empty() {
        reader.refuse(&meaningless, "this is for a node of a cluster: set --cluster-name as well".to_owned());
    }
}

impl ClusterSettings {
    /// The settings; `None` when they cannot be used, which is reported.
    pub(super) fn read(reader: &mut Reader<'_>, surroundings: &Surroundings<'_>) -> Option<Self> {
        let Surroundings { flags, environment, exposure, streams, http_port, nats_port } = surroundings;
        let cluster: Option<ClusterName> = reader.optional(Setting::CLUSTER_NAME, parse);
        let name = read_name(reader);
        let port = read_port(reader, *http_port);
        let routes = reader.list(Setting::ROUTES, parse);
        let user = reader.text(Setting::CLUSTER_USER, RouteUser::default(), parse);
        let (secret, secret_from) = read_secret(reader, flags, environment).unzip();
        let route_tls = read_route_tls(reader);
        let replicas = reader.text(Setting::KV_REPLICAS, Replicas::ONE, parse_replicas);
        let nats_server = reader.path(Setting::NATS_SERVER).unwrap_or_else(|| DEFAULT_PROGRAM.into());
        let staleness_bound = reader.text(Setting::STALENESS_BOUND, DEFAULT_BOUND, parse_bound);
        let exposure = (*exposure)?;
        let is_named = cluster.is_some() && name.is_some();
        // Without its names, what else is wrong is to be found all the same.
        let node = ClusterConfig {
            cluster: cluster.or_else(|| PLACEHOLDER.parse().ok())?,
            node: name.or_else(|| PLACEHOLDER.parse().ok())?,
            client_listen: (exposure.address(), *nats_port).into(),
            client_tls: client_tls(exposure),
            client_ca: None,
            route_listen: (exposure.address(), port).into(),
            routes,
            route_login: secret.map(|secret| RouteLogin { user, secret }),
            route_tls,
            auth: exposure.auth(),
            replicas,
            store: streams.directory.clone(),
            sync: sync(streams.sync),
            limits: Limits::default(),
            nats_server,
            exec_helper: exec_helper(reader)?,
        };
        if let Err(violations) = cluster::clear(node.clone(), SystemTime::now()) {
            violations.iter().for_each(|violation| reader.add(problem(violation)));
        }
        let own_authority = exposure.tls() == Some(&TlsSource::LocalAuthority);
        is_named.then_some(Self { node, staleness_bound, secret_from, own_authority })
    }

    /// Where the secret of the nodes was found, if there is one.
    pub(crate) fn secret_from(&self) -> Option<&'static str> {
        Some(match self.secret_from? {
            SecretSource::File => "a file",
            SecretSource::Environment => "the environment",
            SecretSource::Flag => "the command line",
        })
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.node.warnings();
        // Said of the streams in any case.
        warnings.retain(|warning| !warning.starts_with("synced every"));
        if self.secret_from == Some(SecretSource::Flag) {
            warnings.push(
                "the secret of the nodes was given on the command line, where everybody on this machine can see \
                 it: put it into a file and name that with --cluster-pass-file"
                    .to_owned(),
            );
        }
        if self.own_authority && self.node.has_peers() {
            warnings.push(
                "every node makes itself a certificate authority, so clients that are to find another node when \
                 one is lost have to trust each of them: set --tls-cert and --tls-key to certificates of one \
                 authority"
                    .to_owned(),
            );
        }
        warnings
    }
}

fn read_name(reader: &mut Reader<'_>) -> Option<NodeName> {
    let name = reader.optional(Setting::SERVER_NAME, parse);
    if !reader.is_set(Setting::SERVER_NAME) {
        let problem = "a node of a cluster has a name of its own, which must not change: set --server-name";
        reader.refuse(&[Setting::SERVER_NAME], problem.to_owned());
    }
    name
}

/// The port for the other nodes.
fn read_port(reader: &mut Reader<'_>, http_port: u16) -> u16 {
    let port = reader.text(Setting::CLUSTER_PORT, cluster::DEFAULT_ROUTE_PORT, super::parse_port);
    if port == http_port && port != 0 {
        let problem = format!("requests and routes cannot share port {port}: set one of them to another");
        reader.refuse(&[Setting::HTTP_PORT, Setting::CLUSTER_PORT], problem);
    }
    port
}

/// What the node shows clients, unless the bus makes it.
fn client_tls(exposure: &Exposure) -> Option<PairFiles> {
    match exposure.tls() {
        Some(TlsSource::Files { certificate, key }) => {
            Some(PairFiles { certificate: certificate.clone(), key: key.clone() })
        }
        Some(TlsSource::LocalAuthority) | None => None,
    }
}

fn sync(sync: StreamSync) -> Sync {
    match sync {
        StreamSync::Always => Sync::Always,
        StreamSync::Every(interval) => Sync::Every(interval),
    }
}

fn read_secret(
    reader: &mut Reader<'_>,
    flags: &NodeFlags,
    environment: &Environment,
) -> Option<(RouteSecret, SecretSource)> {
    let file = reader.path(Setting::CLUSTER_PASS_FILE);
    let places = SecretPlaces {
        file: file.as_deref(),
        environment: environment.get(&Setting::CLUSTER_PASS.variable()),
        flag: flags.cluster_pass.as_ref().map(crate::args::TypedSecret::expose),
    };
    RouteSecret::resolve(places).unwrap_or_else(|error| {
        reader.refuse(&[Setting::CLUSTER_PASS_FILE, Setting::CLUSTER_PASS], error.to_string());
        None
    })
}

fn read_route_tls(reader: &mut Reader<'_>) -> Option<RouteTlsFiles> {
    let [certificate, key, authority] =
        [Setting::ROUTE_TLS_CERT, Setting::ROUTE_TLS_KEY, Setting::ROUTE_TLS_CA]
            .map(|setting| reader.path(setting));
    RouteTlsFiles::from_parts(certificate, key, authority).unwrap_or_else(|partial| {
        let settings = [Setting::ROUTE_TLS_CERT, Setting::ROUTE_TLS_KEY, Setting::ROUTE_TLS_CA];
        reader.refuse(&settings, partial.to_string());
        None
    })
}

/// This very program, which knows how to become a nats-server that does not outlive it.
fn exec_helper(reader: &mut Reader<'_>) -> Option<ExecHelper> {
    match std::env::current_exe() {
        Ok(program) => Some(ExecHelper { program, arguments: vec![LAUNCH.to_owned()] }),
        Err(error) => {
            reader.refuse(&[Setting::CLUSTER_NAME], format!("this program does not find itself: {error}"));
            None
        }
    }
}

fn problem(violation: &Violation) -> ConfigProblem {
    let settings: &[Setting] = match violation {
        Violation::NotEnforced => &[Setting::BUS_AUTH],
        Violation::PublicRoutesWithoutTls => {
            &[Setting::ROUTE_TLS_CERT, Setting::ROUTE_TLS_KEY, Setting::ROUTE_TLS_CA]
        }
        Violation::NoRouteLogin => &[Setting::CLUSTER_PASS_FILE, Setting::CLUSTER_PASS],
        Violation::SharedAuthority { .. } => &[Setting::ROUTE_TLS_CA],
        Violation::TooManyReplicas { .. } => &[Setting::KV_REPLICAS, Setting::ROUTES],
        Violation::SamePort(_) => &[Setting::NATS_PORT, Setting::CLUSTER_PORT],
        Violation::NoRoutePort => &[Setting::CLUSTER_PORT],
        // Files name themselves.
        _ => &[],
    };
    ConfigProblem { settings: settings.to_vec(), problem: violation.to_string() }
}

pub(super) fn parse<T>(text: &str) -> Result<T, String>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    // Without the text itself: a route may carry a secret.
    text.parse().map_err(|error: T::Err| error.to_string())
}

pub(super) fn parse_replicas(text: &str) -> Result<Replicas, String> {
    text.parse().map_err(|error| format!("\"{text}\": {error}"))
}

fn parse_bound(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is not a bound: 20s to 10m, such as 30s");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let bound = match &text[digits..] {
        "s" => Duration::from_secs(number),
        "m" if number <= 10 => Duration::from_mins(number),
        _ => return Err(wrong()),
    };
    if (SHORTEST_BOUND..=LONGEST_BOUND).contains(&bound) { Ok(bound) } else { Err(wrong()) }
}
