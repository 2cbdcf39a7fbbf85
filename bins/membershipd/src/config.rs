//! The configuration: layers of settings parsed once into a form in which what may not be combined
//! cannot be expressed. Every problem is reported, not only the first.

mod cluster_settings;
mod durable_rooms;
mod effective;
mod exposure;
mod external_settings;
mod layers;
mod names;
mod paths;
mod plane;
mod problem;
mod quotas;
mod reader;
mod setting;
mod streams;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

pub use self::cluster_settings::ClusterSettings;
pub use self::cluster_settings::LAUNCH;
pub use self::durable_rooms::MaxDurableRooms;
pub use self::effective::Effective;
pub use self::exposure::{Exposure, TlsSource};
pub(crate) use self::external_settings::DEFAULT_SECRET_FILE;
pub use self::external_settings::ExternalSettings;
pub use self::layers::Environment;
pub use self::names::{DataUrl, PublicName, ServerName};
pub use self::paths::DataPaths;
pub use self::plane::{Plane, StoreKind};
pub use self::problem::{ConfigErrors, ConfigProblem};
pub use self::quotas::Quotas;
pub use self::setting::Setting;
pub use self::streams::{StreamSync, Streams};

use self::cluster_settings::Surroundings;
use self::layers::Layers;
use self::reader::Reader;
use crate::args::{LocationFlags, NodeFlags};

/// The port of the control plane unless another is set.
pub(crate) const DEFAULT_HTTP_PORT: u16 = 8470;
/// The port of the data plane unless another is set.
pub(crate) const DEFAULT_NATS_PORT: u16 = 4250;
/// The database unless another is set.
pub(crate) const DEFAULT_DB: &str = "./local_files/unibus.db";

/// What to log unless something else is set. The NATS client of this process reports its own connection.
pub(crate) const DEFAULT_LOG: &str = "info,async_nats=warn,fjall=warn,lsm_tree=warn";

/// Everything `serve` needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who can reach the bus and what protects it.
    pub exposure: Exposure,
    /// Port of the control plane; 0 lets the system choose.
    pub http_port: u16,
    /// Port of the data plane; 0 lets the system choose.
    pub nats_port: u16,
    /// Which data plane runs, and where users and rooms are kept.
    pub plane: Plane,
    /// Where everything is kept.
    pub paths: DataPaths,
    /// Where the messages of rooms with history are kept.
    pub streams: Streams,
    /// How much files in rooms may take.
    pub quotas: Quotas,
    /// How many rooms with history there may be.
    pub max_durable_rooms: MaxDurableRooms,
    /// Names under which clients reach this bus, besides its addresses.
    pub public_names: Vec<PublicName>,
    /// Data plane addresses to tell clients; empty: made from the names.
    pub data_urls: Vec<DataUrl>,
    /// The name of this server in its answers.
    pub server_name: ServerName,
    /// What and how to log.
    pub logging: Logging,
    /// What the person who starts the bus should know although it starts.
    pub warnings: Vec<String>,
}

/// What and how to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// Directives in the form of `RUST_LOG`, known to parse.
    pub filter: String,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Whether others than this machine can reach the bus, on either plane.
    pub fn is_public(&self) -> bool {
        self.exposure.is_public() || self.plane.is_remote()
    }

    /// Reads file, variables and flags.
    pub fn load(flags: &NodeFlags, environment: &Environment) -> Result<Self, ConfigErrors> {
        Self::load_with_sources(flags, environment).map(|(config, _)| config)
    }

    /// As [`Config::load`], together with each setting's value and where it was set.
    pub fn load_with_sources(
        flags: &NodeFlags,
        environment: &Environment,
    ) -> Result<(Self, Effective), ConfigErrors> {
        let mut layers = Layers::read(flags.config.as_deref(), environment, flags);
        let problems = std::mem::take(&mut layers.problems);
        let mut reader = Reader::new(&layers, problems);

        let exposure = Exposure::read(&mut reader);
        let (http_port, nats_port) = read_ports(&mut reader);
        let paths = read_paths(&mut reader, environment);
        let streams = Streams::read(&mut reader, &paths);
        let quotas = Quotas::read(&mut reader);
        let public_names = reader.list(Setting::PUBLIC_NAME, str::parse);
        let data_urls = reader.list(Setting::DATA_URL, str::parse);
        let surroundings = Surroundings {
            flags,
            environment,
            exposure: exposure.as_ref(),
            streams: &streams,
            http_port,
            nats_port,
        };
        let plane = Plane::read(&mut reader, &surroundings);
        let max_durable_rooms = MaxDurableRooms::read(&mut reader, plane.as_ref());
        let server_name = reader.text(Setting::SERVER_NAME, ServerName::default(), str::parse);
        let logging = Logging::read(&mut reader);
        let ((exposure, plane), effective) = reader.finish(exposure.zip(plane))?;

        let paths = paths.with_store(plane.store());
        let unknown = layers.unknown_variables.iter();
        let mut warnings: Vec<String> =
            unknown.map(|name| format!("{name} is set and is no setting of membershipd")).collect();
        warnings.extend(exposure.warning());
        warnings.extend(streams.warning());
        warnings.extend(plane.warnings());
        warnings.extend(max_durable_rooms.warning(&plane));
        let config = Self {
            exposure,
            http_port,
            nats_port,
            plane,
            paths,
            streams,
            quotas,
            max_durable_rooms,
            public_names,
            data_urls,
            server_name,
            logging,
            warnings,
        };
        Ok((config, effective))
    }
}

impl Logging {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            filter: reader.text(Setting::LOG, DEFAULT_LOG.to_owned(), parse_filter),
            format: reader.text(Setting::LOG_FORMAT, LogFormat::Text, parse_log_format),
        }
    }
}

impl DataPaths {
    /// Reads only where the bus keeps its data, for commands that run beside the daemon: what else the
    /// file holds is not their business.
    pub fn load(flags: &LocationFlags, environment: &Environment) -> Result<Self, ConfigErrors> {
        let mut layers = Layers::read(flags.config.as_deref(), environment, flags);
        let problems = std::mem::take(&mut layers.problems);
        let mut reader = Reader::new(&layers, problems);
        let paths = read_paths(&mut reader, environment).with_store(plane::kind_of_store(&mut reader));
        reader.finish(Some(paths)).map(|(paths, _)| paths)
    }
}

/// The ports of the control plane and of the data plane.
fn read_ports(reader: &mut Reader<'_>) -> (u16, u16) {
    let http_port = reader.text(Setting::HTTP_PORT, DEFAULT_HTTP_PORT, parse_port);
    let nats_port = reader.text(Setting::NATS_PORT, DEFAULT_NATS_PORT, parse_port);
    if http_port == nats_port && http_port != 0 {
        reader.refuse(
            &[Setting::HTTP_PORT, Setting::NATS_PORT],
            format!("both planes cannot listen on port {http_port}: set one of them to another port"),
        );
    }
    (http_port, nats_port)
}

fn read_paths(reader: &mut Reader<'_>, environment: &Environment) -> DataPaths {
    let paths = reader.text(Setting::DB, DataPaths::default(), str::parse);
    let files = reader.optional(Setting::STORE_DIR, |text| parse_directory(text, &paths));
    paths.with_files(files).with_runtime_directory(environment.get("XDG_RUNTIME_DIR"))
}

/// A directory of its own: what is in it is the file store's.
fn parse_directory(text: &str, paths: &DataPaths) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if text.is_empty() || path.components().eq(paths.directory().components()) {
        return Err(format!(
            "\"{text}\" is no directory of its own for files: name one that holds nothing else"
        ));
    }
    Ok(path)
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not a port: a number from 0 to 65535"))
}

fn parse_filter(text: &str) -> Result<String, String> {
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!(
            "\"{text}\" is not a log filter ({error}): for instance info, or info,control_plane=debug"
        )),
    }
}

fn parse_log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("\"{other}\" is not a log format: text or json")),
    }
}
