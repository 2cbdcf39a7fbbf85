//! The certificates of a cluster: for its routes one authority that is used for nothing else, and one pair for each node;
//! for its clients the same once more, under another authority and in another directory.
//!
//! ```text
//! routes                                      clients
//! OUT/ca/cluster-ca.crt   cluster-ca.key      OUT/ca/bus-ca.crt   bus-ca.key    stays where it was made
//! OUT/NODE/route.crt      route.key           OUT/NODE/server.crt server.key    goes to the node,
//! OUT/NODE/cluster-ca.crt                     OUT/NODE/bus-ca.crt               together with this
//! ```
//!
//! Directories are of mode 0700, files of mode 0600. An authority that is there is never written over: every node would
//! have to learn of the new one at once.

mod authority;
mod purpose;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{CertificateParams, DnType, KeyPair, KeyUsagePurpose, SanType};

use busauth::private_file;

use crate::{
    certificate::{CertificateError, Certificates, Pair},
    names::NodeName,
    topology::{Host, NodeAddresses, Topology},
};
use authority::Authority;
use purpose::Purpose;

/// How long a node's certificate is valid. Renewed once a year, with time left to notice that it was forgotten.
const NODE_DAYS: u32 = 398;
/// Certificates begin early: peers' clocks may be behind.
const BACKDATED: Duration = Duration::from_hours(24);
const DAY: Duration = Duration::from_hours(24);

/// What to make for routes.
#[derive(Debug, Clone, Copy)]
pub struct PkiJob<'a> {
    /// The nodes.
    pub topology: &'a Topology,
    /// Where the files go.
    pub directory: &'a Path,
    /// Whether nodes that have a pair get a new one.
    pub renew: bool,
    /// What clients trust, if that is known: it must not be what nodes trust.
    pub client_ca: Option<&'a Path>,
    /// The time.
    pub now: SystemTime,
}

/// What to make for clients.
#[derive(Debug, Clone, Copy)]
pub struct ServerPkiJob<'a> {
    /// The nodes.
    pub topology: &'a Topology,
    /// Where the files go.
    pub directory: &'a Path,
    /// Whether nodes that have a pair get a new one.
    pub renew: bool,
    /// What nodes trust, if that is known: it must not be what clients trust.
    pub route_ca: Option<&'a Path>,
    /// The time.
    pub now: SystemTime,
}

/// Either of them.
#[derive(Clone, Copy)]
struct Job<'a> {
    purpose: Purpose,
    topology: &'a Topology,
    directory: &'a Path,
    renew: bool,
    /// The authority of the other purpose.
    other_ca: Option<&'a Path>,
    now: SystemTime,
}

/// What was made, and what had been there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PkiReport {
    /// The authority's certificate.
    pub authority: PathBuf,
    /// What happened to the authority.
    pub authority_made: Made,
    /// When the authority expires.
    pub authority_expires: SystemTime,
    /// Each node.
    pub nodes: Vec<NodePair>,
}

/// A node's pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePair {
    /// The node.
    pub node: NodeName,
    /// Where its files are.
    pub directory: PathBuf,
    /// What happened to it.
    pub made: Made,
    /// When it expires.
    pub expires: SystemTime,
}

/// What happened to a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It is new.
    New,
    /// It was there and is as it was.
    Kept,
}

/// Why certificates cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file or directory.
    #[error("{}: {source}", .path.display())]
    Files {
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A certificate or key that is there cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// One half of the authority is missing.
    #[error("the authority is incomplete: {} is missing beside its other half; restore it from a backup", .0.display())]
    HalfAuthority(PathBuf),
    /// There is nothing to renew.
    #[error("there is no authority at {} to renew certificates with; leave --renew out to make one", .0.display())]
    NothingToRenew(PathBuf),
    /// The authority is the one of clients.
    #[error("{} is, or has to do with, the authority of clients {}: nodes need one of their own, or a client's certificate would open the routes", .authority.display(), .client.display())]
    ClientAuthority {
        /// The authority of nodes.
        authority: PathBuf,
        /// The authority of clients.
        client: PathBuf,
    },
    /// A node's certificate does not fit the list of nodes any more.
    #[error(
        "the certificate of {node} is for {certified}, and the list of nodes says {listed}: make new ones with --renew"
    )]
    OtherNames {
        /// The node.
        node: NodeName,
        /// The names in the certificate.
        certified: String,
        /// The names in the list.
        listed: String,
    },
    /// A certificate cannot be made.
    #[error("the certificate of {subject} cannot be made: {source}")]
    Make {
        /// Whose.
        subject: String,
        /// Why.
        source: rcgen::Error,
    },
}

/// Makes what is missing for routes. What is there is checked and kept, except for the nodes' pairs with
/// [`PkiJob::renew`].
pub fn make_certificates(job: &PkiJob<'_>) -> Result<PkiReport, PkiError> {
    let PkiJob { topology, directory, renew, client_ca, now } = *job;
    make(&Job { purpose: Purpose::Routes, topology, directory, renew, other_ca: client_ca, now })
}

/// Makes what is missing for clients, in the same way.
pub fn make_server_certificates(job: &ServerPkiJob<'_>) -> Result<PkiReport, PkiError> {
    let ServerPkiJob { topology, directory, renew, route_ca, now } = *job;
    make(&Job { purpose: Purpose::Clients, topology, directory, renew, other_ca: route_ca, now })
}

fn make(job: &Job<'_>) -> Result<PkiReport, PkiError> {
    private_file::make_directory(job.directory).map_err(files_at(job.directory))?;
    let (authority, authority_made) = Authority::open(&job.directory.join("ca"), job)?;
    if let Some(other_ca) = job.other_ca {
        let others = Certificates::read(other_ca)?;
        let related = others.is_related_to(authority.certificates())?
            || authority.certificates().is_related_to(&others)?;
        if related {
            let (own, other) = (authority.certificate_path(), other_ca.to_owned());
            let (authority, client) = match job.purpose {
                Purpose::Routes => (own, other),
                Purpose::Clients => (other, own),
            };
            return Err(PkiError::ClientAuthority { authority, client });
        }
    }
    let nodes =
        job.topology.nodes.iter().map(|node| make_pair(node, &authority, job)).collect::<Result<_, _>>()?;
    Ok(PkiReport {
        authority: authority.certificate_path(),
        authority_made,
        authority_expires: authority.expires(),
        nodes,
    })
}

fn make_pair(node: &NodeAddresses, authority: &Authority, job: &Job<'_>) -> Result<NodePair, PkiError> {
    let directory = job.directory.join(node.name.as_str());
    let pair = job.purpose.pair();
    let (certificate, key) = (directory.join(format!("{pair}.crt")), directory.join(format!("{pair}.key")));
    let made = if (is_there(&certificate) || is_there(&key)) && !job.renew { Made::Kept } else { Made::New };
    if made == Made::New {
        private_file::make_directory(&directory).map_err(files_at(&directory))?;
        let (certificate_pem, key_pem) = issue(node, authority, job)?;
        private_file::replace(&key, key_pem.as_bytes()).map_err(files_at(&key))?;
        private_file::replace(&certificate, certificate_pem.as_bytes()).map_err(files_at(&certificate))?;
        let copy = directory.join(format!("{}.crt", job.purpose.authority()));
        let authority_pem = authority.certificates().pem().as_bytes();
        private_file::replace(&copy, authority_pem).map_err(files_at(&copy))?;
    }
    // What was just made goes through the same checks as what was there, and as at the start of a node.
    let pair = Pair::read(&certificate, &key)?;
    match job.purpose {
        Purpose::Routes => pair.check_for_routes(authority.certificates(), job.now)?,
        Purpose::Clients => pair.check_for_clients(authority.certificates(), job.now)?,
    }
    let leaf = pair.leaf()?;
    let listed: Vec<String> = names(node, job).iter().map(text_in_certificate).collect();
    if leaf.names != listed {
        return Err(PkiError::OtherNames {
            node: node.name.clone(),
            certified: leaf.names.join(" "),
            listed: listed.join(" "),
        });
    }
    Ok(NodePair { node: node.name.clone(), directory, made, expires: leaf.not_after })
}

fn issue(
    node: &NodeAddresses,
    authority: &Authority,
    job: &Job<'_>,
) -> Result<(String, zeroize::Zeroizing<String>), PkiError> {
    let refused = |source| PkiError::Make { subject: node.name.to_string(), source };
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, job.purpose.of_node(&node.name));
    params.subject_alt_names = names(node, job).iter().map(san).collect::<Result<_, _>>().map_err(refused)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = job.purpose.usages();
    params.use_authority_key_identifier_extension = true;
    params.not_before = (job.now - BACKDATED).into();
    // Nothing outlives the authority: it could not be verified.
    params.not_after = (job.now + DAY * NODE_DAYS).min(authority.expires()).into();
    let key = KeyPair::generate().map_err(refused)?;
    let certificate = params.signed_by(&key, authority.issuer()).map_err(refused)?;
    let mut chain = certificate.pem();
    if job.purpose == Purpose::Clients {
        // Clients that know nothing but the authority's fingerprint find it here.
        chain.push_str(authority.certificates().pem());
    }
    Ok((chain, zeroize::Zeroizing::new(key.serialize_pem())))
}

/// What stands in a node's certificate.
fn names(node: &NodeAddresses, job: &Job<'_>) -> Vec<Host> {
    let mut names: Vec<Host> = node.all().into_iter().cloned().collect();
    for own in job.purpose.further_names() {
        if !names.contains(&own) {
            names.push(own);
        }
    }
    names
}

fn san(host: &Host) -> Result<SanType, rcgen::Error> {
    Ok(match host {
        Host::Address(address) => SanType::IpAddress(*address),
        Host::Name(name) => SanType::DnsName(name.as_str().try_into()?),
    })
}

/// Without the brackets of a URL.
fn text_in_certificate(host: &Host) -> String {
    match host {
        Host::Address(address) => address.to_string(),
        Host::Name(name) => name.clone(),
    }
}

fn files_at(path: &Path) -> impl FnOnce(io::Error) -> PkiError {
    let path = path.to_owned();
    move |source| PkiError::Files { path, source }
}

/// Whether something has this name, whatever it is.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
