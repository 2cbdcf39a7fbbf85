//! What comes out of layers of settings, and what is said about wrong ones.

use std::io::Write;
use std::path::PathBuf;

use busauth::AuthMode;

use super::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

fn flags(set: impl FnOnce(&mut NodeFlags)) -> NodeFlags {
    let mut flags = NodeFlags::default();
    set(&mut flags);
    flags
}

fn load(flags: &NodeFlags) -> Result<Config, ConfigErrors> {
    Config::load(flags, &Environment::default())
}

fn only_problem(errors: &ConfigErrors) -> String {
    assert_eq!(errors.0.len(), 1, "{errors}");
    errors.to_string()
}

#[test]
fn nothing_set_is_a_loopback_bus_that_enforces() {
    let config = load(&NodeFlags::default()).unwrap();
    assert_eq!(
        config.exposure,
        Exposure::Local { address: "127.0.0.1".parse().unwrap(), auth: AuthMode::Enforce }
    );
    assert_eq!((config.http_port, config.nats_port), (8470, 4250));
    assert_eq!(config.paths.db(), PathBuf::from("./local_files/unibus.db"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let file = file("http_port = 1001\nnats_port = 1002\nserver_name = \"from-file\"\n");
    let variables = environment(&[("UNIBUS_NATS_PORT", "2002"), ("UNIBUS_SERVER_NAME", "from-variable")]);
    let flags = flags(|flags| {
        flags.config = Some(file.path().to_owned());
        flags.server_name = Some("from-flag".to_owned());
    });
    let (config, effective) = Config::load_with_sources(&flags, &variables).unwrap();
    assert_eq!(config.http_port, 1001);
    assert_eq!(config.nats_port, 2002);
    assert_eq!(config.server_name.to_string(), "from-flag");
    let shown = effective.to_string();
    assert!(shown.contains("http_port = \"1001\"  # set in "), "{shown}");
    assert!(shown.contains("nats_port = \"2002\"  # set by UNIBUS_NATS_PORT"), "{shown}");
    assert!(shown.contains("server_name = \"from-flag\"  # set by --server-name"), "{shown}");
    assert!(shown.contains("# bind = \"127.0.0.1\"  (default)"), "{shown}");
}

#[test]
fn what_config_check_prints_is_a_configuration_file() {
    let names = flags(|flags| {
        flags.bind = Some("0.0.0.0".to_owned());
        flags.public_name = vec!["bus.example.org".to_owned(), "10.1.2.3:9000".to_owned()];
    });
    let (config, effective) = Config::load_with_sources(&names, &Environment::default()).unwrap();
    let file = file(&effective.to_string());
    let again = load(&flags(|flags| flags.config = Some(file.path().to_owned()))).unwrap();
    assert_eq!(again.exposure, config.exposure);
    assert_eq!(again.public_names, config.public_names);
}

#[test]
fn every_problem_is_reported_with_all_its_names() {
    let file = file("bus_auth = \"maybe\"\ntypo = 1\n");
    let variables = environment(&[("UNIBUS_HTTP_PORT", "70000")]);
    let flags = flags(|flags| {
        flags.config = Some(file.path().to_owned());
        flags.bind = Some("nowhere".to_owned());
        flags.log_format = Some("xml".to_owned());
    });
    let errors = Config::load(&flags, &variables).unwrap_err();
    let text = errors.to_string();
    assert_eq!(errors.0.len(), 5, "{text}");
    for part in [
        "there is no setting `typo`",
        "--bus-auth (UNIBUS_BUS_AUTH, file key `bus_auth`): \"maybe\" is not a mode",
        "--http-port (UNIBUS_HTTP_PORT, file key `http_port`): \"70000\" is not a port",
        "(set by UNIBUS_HTTP_PORT)",
        "--bind (UNIBUS_BIND, file key `bind`): \"nowhere\" is not an address",
        "--log-format (UNIBUS_LOG_FORMAT, file key `log_format`): \"xml\" is not a log format",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn a_public_address_needs_signed_requests() {
    let errors = load(&flags(|flags| {
        flags.bind = Some("0.0.0.0".to_owned());
        flags.bus_auth = Some("soft".to_owned());
    }))
    .unwrap_err();
    let text = only_problem(&errors);
    assert!(
        text.contains("0.0.0.0 can be reached from elsewhere") && text.contains("--bus-auth enforce"),
        "{text}"
    );
}

#[test]
fn tls_needs_signed_requests_even_on_loopback() {
    let errors = load(&flags(|flags| {
        flags.tls_cert = Some("server.crt".to_owned());
        flags.tls_key = Some("server.key".to_owned());
        flags.bus_auth = Some("off".to_owned());
    }))
    .unwrap_err();
    let text = only_problem(&errors);
    assert!(text.contains("TLS is on") && text.contains("--bus-auth enforce"), "{text}");
}

#[test]
fn half_a_tls_pair_names_the_missing_half() {
    let certificate_only = load(&flags(|flags| flags.tls_cert = Some("server.crt".to_owned()))).unwrap_err();
    assert!(only_problem(&certificate_only).contains("set --tls-key as well"), "{certificate_only}");
    let key_only = load(&flags(|flags| flags.tls_key = Some("server.key".to_owned()))).unwrap_err();
    assert!(only_problem(&key_only).contains("set --tls-cert as well"), "{key_only}");
}

#[test]
fn plaintext_and_a_certificate_contradict_each_other() {
    let errors = load(&flags(|flags| {
        flags.plaintext = true;
        flags.tls_cert = Some("server.crt".to_owned());
        flags.tls_key = Some("server.key".to_owned());
    }))
    .unwrap_err();
    assert!(only_problem(&errors).contains("set one of the two"), "{errors}");
}

#[test]
fn a_public_address_has_tls_unless_told_otherwise() {
    let public = load(&flags(|flags| flags.bind = Some("0.0.0.0".to_owned()))).unwrap();
    assert_eq!(public.exposure.tls(), Some(&TlsSource::LocalAuthority));
    let plain = Config::load(
        &flags(|flags| flags.bind = Some("0.0.0.0".to_owned())),
        &environment(&[("UNIBUS_PLAINTEXT", "true")]),
    )
    .unwrap();
    assert!(matches!(plain.exposure, Exposure::PublicPlaintext { .. }));
    assert!(plain.warnings.iter().any(|warning| warning.contains("without TLS")), "{:?}", plain.warnings);
}

#[test]
fn both_planes_on_one_port_are_refused() {
    let errors = load(&flags(|flags| {
        flags.http_port = Some("4250".to_owned());
    }))
    .unwrap_err();
    assert!(only_problem(&errors).contains("cannot listen on port 4250"), "{errors}");
}

#[test]
fn a_variable_may_hold_a_list_and_an_unknown_one_is_a_warning() {
    let variables = environment(&[
        ("UNIBUS_PUBLIC_NAME", "bus.example.org, 10.0.0.1:8470"),
        ("UNIBUS_BUS_AUHT", "off"),
        ("RUST_LOG", "debug"),
    ]);
    let config = Config::load(&NodeFlags::default(), &variables).unwrap();
    let names: Vec<String> = config.public_names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["bus.example.org", "10.0.0.1:8470"]);
    assert_eq!(config.logging.filter, "debug");
    assert!(config.warnings[0].contains("UNIBUS_BUS_AUHT"), "{:?}", config.warnings);
}

#[test]
fn names_and_urls_are_checked() {
    for wrong in ["user@host", "host:port", "a b", "", "host:"] {
        assert!(wrong.parse::<PublicName>().is_err(), "{wrong:?} passed");
    }
    for right in ["host", "host:1", "[::1]", "[::1]:8470", "10.0.0.1"] {
        assert!(right.parse::<PublicName>().is_ok(), "{right:?} was refused");
    }
    for wrong in
        ["http://host:4250", "nats://host", "nats://u:p@host:4250", "nats://host:4250/x", "host:4250"]
    {
        let refused = wrong.parse::<DataUrl>().unwrap_err();
        assert!(!refused.contains("u:p"), "{refused}");
    }
    assert!("tls://bus.example.org:4250".parse::<DataUrl>().is_ok());
}

#[test]
fn a_missing_or_broken_file_is_named() {
    let missing = load(&flags(|flags| flags.config = Some("/does/not/exist.toml".into()))).unwrap_err();
    assert!(only_problem(&missing).contains("/does/not/exist.toml cannot be read"), "{missing}");
    let broken = file("bind = [");
    let errors = load(&flags(|flags| flags.config = Some(broken.path().to_owned()))).unwrap_err();
    assert!(only_problem(&errors).contains("is not valid TOML"), "{errors}");
}

#[test]
fn a_long_data_directory_moves_the_socket_to_the_runtime_directory() {
    let paths = |db: &str, variables: &[(&str, &str)]| {
        let flags = LocationFlags { db: Some(db.to_owned()), ..LocationFlags::default() };
        DataPaths::load(&flags, &environment(variables)).unwrap()
    };
    assert_eq!(paths("/data/unibus.db", &[]).control_socket(), Some("/data/control.sock".into()));
    // However the same directory is named, the socket is the same.
    assert_eq!(paths("/./data/./unibus.db", &[]).control_socket(), Some("/data/control.sock".into()));
    let long = format!("/{}unibus.db", "long/".repeat(30));
    assert_eq!(paths(&long, &[]).control_socket(), None);
    let socket = paths(&long, &[("XDG_RUNTIME_DIR", "/run/user/1000")]).control_socket().unwrap();
    assert!(socket.starts_with("/run/user/1000") && socket.as_os_str().len() < 100, "{}", socket.display());
}

#[test]
fn streams_lie_in_the_data_directory_and_are_synced_always() {
    let default = load(&NodeFlags::default()).unwrap();
    assert_eq!(default.streams.directory, PathBuf::from("./local_files/jetstream"));
    assert_eq!(default.streams.sync, StreamSync::Always);
    let elsewhere = load(&flags(|flags| {
        flags.db = Some("/data/unibus.db".to_owned());
        flags.sync = Some("250ms".to_owned());
    }))
    .unwrap();
    assert_eq!(elsewhere.streams.directory, PathBuf::from("/data/jetstream"));
    assert_eq!(elsewhere.streams.sync, StreamSync::Every(std::time::Duration::from_millis(250)));
    assert!(elsewhere.warnings.iter().any(|warning| warning.contains("--sync")), "{:?}", elsewhere.warnings);
}

#[test]
fn streams_that_cannot_be_kept_as_asked_are_refused() {
    for wrong in ["", "never", "1", "0s", "1h", "6m", "-1s", "1.5s", "99999999999999999999s"] {
        let errors = load(&flags(|flags| flags.sync = Some(wrong.to_owned()))).unwrap_err();
        assert!(only_problem(&errors).contains("is not a time between syncs"), "{errors}");
    }
    for inside in ["/data", "/data/./", "/data/unibus.db"] {
        let errors = load(&flags(|flags| {
            flags.db = Some("/data/unibus.db".to_owned());
            flags.nats_store = Some(inside.to_owned());
        }))
        .unwrap_err();
        assert!(only_problem(&errors).contains("a directory of their own"), "{errors}");
    }
}

#[test]
fn quotas_are_sizes() {
    let quotas = |room: &str, user: &str| {
        load(&flags(|flags| {
            flags.room_blob_bytes = Some(room.to_owned());
            flags.user_blob_bytes = Some(user.to_owned());
        }))
        .map(|config| (config.quotas.room, config.quotas.user))
    };
    let unset = load(&NodeFlags::default()).unwrap().quotas;
    let limits = control_api::Limits::default();
    assert_eq!((unset.room, unset.user), (limits.room_blob_bytes, limits.user_blob_bytes));
    assert_eq!(Some(unset.room), quotas("10GiB", "1").ok().map(|(room, _)| room), "what the page says");
    assert_eq!(quotas("500MiB", "123456").unwrap(), (500 << 20, 123_456));
    assert_eq!(quotas("1 KiB", "2TiB").unwrap(), (1 << 10, 2 << 40));
    for wrong in
        ["", "0", "0GiB", "-1", "1.5GiB", "10GB", "GiB", "lots", "99999999999999999999", "9999999TiB"]
    {
        let errors = quotas(wrong, "1GiB").unwrap_err();
        let text = only_problem(&errors);
        assert!(text.contains("is not a size") && text.contains("--room-blob-bytes"), "{text}");
    }
}

#[test]
fn rooms_with_history_are_bounded_where_servers_share_them() {
    let with = |change: fn(&mut NodeFlags), most: Option<&str>| {
        load(&flags(|flags| {
            change(flags);
            flags.max_durable_rooms = most.map(str::to_owned);
        }))
    };
    let elsewhere: fn(&mut NodeFlags) = |flags| {
        flags.cluster_name = Some("members".to_owned());
        flags.server_name = Some("node-1".to_owned());
    };
    let alone: fn(&mut NodeFlags) = |_| {};
    for (plane, default) in [(alone, 10_000), (elsewhere, 1_000)] {
        let unset = with(plane, None).unwrap();
        assert_eq!(unset.max_durable_rooms.get(), default);
        assert!(
            !unset.warnings.iter().any(|text| text.contains("--max-durable-rooms")),
            "{:?}",
            unset.warnings
        );
        for number in [0, 1, 1_000, 10_000] {
            let set = with(plane, Some(&number.to_string())).unwrap();
            assert_eq!(set.max_durable_rooms.get(), number);
            let warned = set.warnings.iter().any(|text| text.contains("--max-durable-rooms"));
            assert_eq!(warned, number > default, "{:?}", set.warnings);
        }
    }
    for wrong in ["", "-1", "10001", "1.5", "1k", "many", "99999999999999999999"] {
        let errors = with(alone, Some(wrong)).unwrap_err();
        let text = only_problem(&errors);
        assert!(text.contains("is not a number of rooms") && text.contains("--max-durable-rooms"), "{text}");
    }
}

#[test]
fn every_setting_is_documented_with_its_default() {
    let page = include_str!("../../../../docs/membershipd.md");
    for setting in Setting::IN_FILE {
        let row = page
            .lines()
            .find(|line| line.starts_with("| `") && line.contains(&format!("`{}`", setting.key())));
        let row = row.unwrap_or_else(|| panic!("docs/membershipd.md does not name {}", setting.key()));
        if let Some(default) = setting.default_text().filter(|default| default != "[]") {
            let default = default.trim_matches('"');
            assert!(row.contains(&format!("`{default}`")), "docs/membershipd.md: {row} is not {default}");
        }
    }
}

#[test]
fn files_are_kept_beside_the_database_unless_told_otherwise() {
    let of = |db: Option<&str>, store_dir: Option<&str>| {
        load(&flags(|flags| {
            flags.db = db.map(str::to_owned);
            flags.store_dir = store_dir.map(str::to_owned);
        }))
        .map(|config| config.paths.files().to_owned())
    };
    assert_eq!(of(None, None).unwrap(), PathBuf::from("./local_files/blobs"));
    assert_eq!(of(Some("/srv/bus/unibus.db"), None).unwrap(), PathBuf::from("/srv/bus/blobs"));
    assert_eq!(of(Some("/srv/bus/unibus.db"), Some("/files")).unwrap(), PathBuf::from("/files"));
    for mistake in ["/srv/bus", "/srv/bus/", ""] {
        let text = only_problem(&of(Some("/srv/bus/unibus.db"), Some(mistake)).unwrap_err());
        assert!(text.contains("no directory of its own") && text.contains("--store-dir"), "{text}");
    }
}
