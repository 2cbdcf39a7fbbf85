//! What a node of a cluster is given besides its certificates: its settings, and the secret that all nodes share.
//!
//! ```text
//! OUT/ca/route.secret     the secret, once
//! OUT/NODE/route.secret   the same, for the node
//! OUT/NODE/node.env       the settings that follow from the list of nodes
//! ```

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use busauth::private_file;

use crate::{
    pki::Made,
    route_secret::{RouteSecret, SecretError, SecretPlaces},
    topology::{Host, NodeAddresses, Topology},
};

/// Bytes of a new secret.
const SECRET_BYTES: usize = 32;

/// What was made, and what had been there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFilesReport {
    /// Where the secret is.
    pub secret: PathBuf,
    /// What happened to it.
    pub secret_made: Made,
    /// The settings of each node.
    pub settings: Vec<PathBuf>,
}

/// Why they cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NodeFilesError {
    /// A file or directory.
    #[error("{}: {source}", .path.display())]
    Files {
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The secret that is there.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The system has no random numbers to give.
    #[error("a secret cannot be made: {0}")]
    Random(getrandom::Error),
}

/// Writes the settings of every node, and has the secret there; a new one with `new_secret`.
pub fn make_node_files(
    topology: &Topology,
    directory: &Path,
    new_secret: bool,
) -> Result<NodeFilesReport, NodeFilesError> {
    let secret = directory.join("ca").join("route.secret");
    let secret_made = if new_secret || !exists(&secret)? { Made::New } else { Made::Kept };
    if secret_made == Made::New {
        write(&secret, &random_secret()?)?;
    }
    // Whatever is handed to the nodes has been found to be a secret.
    let found = RouteSecret::resolve(SecretPlaces { file: Some(&secret), ..SecretPlaces::default() })?;
    let text = found.map(|(secret, _)| Zeroizing::new(format!("{}\n", secret.expose()))).unwrap_or_default();
    let mut settings = Vec::new();
    for node in &topology.nodes {
        let of_node = directory.join(node.name.as_str());
        write(&of_node.join("route.secret"), &text)?;
        let file = of_node.join("node.env");
        write(&file, &node_settings(topology, node))?;
        settings.push(file);
    }
    Ok(NodeFilesReport { secret, secret_made, settings })
}

/// The settings of a node, as membershipd reads them from its environment. Paths are not among them: where the files lie on
/// the node is known to whatever starts it there.
fn node_settings(topology: &Topology, node: &NodeAddresses) -> String {
    let names: Vec<String> = node.public.iter().map(Host::to_string).collect();
    let lines = [
        ("CLUSTER_NAME", topology.cluster.to_string()),
        ("SERVER_NAME", node.name.to_string()),
        ("CLUSTER_PORT", topology.route_port.to_string()),
        ("ROUTES", topology.routes_of(&node.name).join(",")),
        ("KV_REPLICAS", topology.replicas.to_string()),
        ("PUBLIC_NAME", names.join(",")),
    ];
    let mut text = format!(
        "# {} of {}. Made from the list of nodes, and made anew with it: settings of this machine alone belong into a file\n\
         # of their own.\n",
        node.name, topology.cluster
    );
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        // Writing to a string does not fail.
        writeln!(text, "UNIBUS_{name}={value}").ok();
    }
    text
}

fn random_secret() -> Result<Zeroizing<String>, NodeFilesError> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(bytes.as_mut()).map_err(NodeFilesError::Random)?;
    let mut text = Zeroizing::new(String::with_capacity(2 * SECRET_BYTES + 1));
    for byte in bytes.iter() {
        // Writing to a string does not fail.
        write!(text, "{byte:02x}").ok();
    }
    text.push('\n');
    Ok(text)
}

fn exists(path: &Path) -> Result<bool, NodeFilesError> {
    fs::exists(path).map_err(|source| NodeFilesError::Files { path: path.to_owned(), source })
}

fn write(path: &Path, text: &str) -> Result<(), NodeFilesError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    private_file::make_directory(directory)
        .and_then(|()| private_file::replace(path, text.as_bytes()))
        .map_err(|source| NodeFilesError::Files { path: path.to_owned(), source })
}
