//! `deploy/install.sh`, with a service manager that only pretends and a bus that really runs.

use std::fs;

use tokio::net::TcpStream;

use super::deploy_directory;
use super::machine::Machine;
use crate::daemon::mode;

#[tokio::test]
async fn a_second_install_changes_nothing_and_an_uninstall_keeps_the_data() {
    let Some(machine) = Machine::new() else { return };
    let said = machine.run_ok(&[]).await;
    assert!(said.contains(&format!("the bus answers at {}", machine.health_url())), "{said}");
    assert!(said.contains("user add --role admin"), "{said}");
    assert_eq!(machine.noted("built"), "build --release --locked --package membershipd\n");
    assert_eq!(fs::read_link(machine.link()).unwrap(), deploy_directory().join("unibus-membershipd.service"));
    let wanted = machine.path(".config/systemd/user/default.target.wants/unibus-membershipd.service");
    assert!(wanted.is_symlink());
    TcpStream::connect((machine.address(), 4250)).await.unwrap();
    let state = machine.path(".local/share/unibus");
    assert_eq!((mode(&state), mode(&state.join("local_files"))), (0o700, 0o700));
    let (first, database) = (machine.pid(), state.join("local_files/unibus.db"));
    assert!(database.is_file());

    let said = machine.run_ok(&[]).await;
    assert!(said.contains("is up to date") && said.contains("the bus answers"), "{said}");
    assert_eq!(machine.pid(), first, "what is up to date goes on running");

    let said = machine.run_ok(&["--uninstall"]).await;
    assert!(said.contains("data and settings stay"), "{said}");
    assert!(!machine.runs() && !machine.link().is_symlink() && !wanted.is_symlink());
    assert!(!machine.path(".local/bin/membershipd").exists());
    assert!(machine.noted("journal").contains("stopped"), "it was asked to stop, not killed");
    assert!(database.is_file() && machine.path(".config/unibus/membershipd.env").is_file());
    assert!(machine.run_ok(&["--uninstall"]).await.contains("nothing is installed"));
}

#[tokio::test]
async fn without_settings_of_its_own_the_bus_is_public_and_has_tls() {
    let Some(machine) = Machine::new() else { return };
    let [http, nats] = nats_testkit::free_ports();
    machine.set(&format!("UNIBUS_HTTP_PORT={http}\nUNIBUS_NATS_PORT={nats}\n"));
    let said = machine.run_ok(&[]).await;
    assert!(said.contains(&format!("the bus answers at https://127.0.0.1:{http}/healthz")), "{said}");
    assert!(machine.path(".local/share/unibus/local_files/tls/ca.crt").is_file());
    let log = machine.noted("journal");
    assert!(log.contains("--ca-fingerprint") && log.contains("nobody is admitted yet"), "{log}");
}

#[tokio::test]
async fn changed_settings_and_a_new_program_start_the_service_again() {
    let Some(machine) = Machine::new() else { return };
    let program = env!("CARGO_BIN_EXE_membershipd");
    machine.run_ok(&["--binary", program]).await;
    assert_eq!(machine.noted("built"), "", "a program that is there is not built");
    let first = machine.pid();

    machine.set_also("UNIBUS_SERVER_NAME=\"another name\"");
    let refused = machine.run_fails(1, &["--binary", program]).await;
    assert!(refused.contains("another name") && refused.contains("mend the settings"), "{refused}");
    assert!(machine.runs() && machine.pid() == first, "settings that would be refused stop nothing");

    machine.set("UNIBUS_BIND=127.0.0.1\nUNIBUS_HTTP_PORT=0\n");
    let refused = machine.run_fails(1, &["--binary", program]).await;
    assert!(refused.contains("a port that is known"), "{refused}");

    machine.set(&format!("UNIBUS_BIND={}\nUNIBUS_SERVER_NAME='another'\n", machine.address()));
    machine.run_ok(&["--binary", program]).await;
    let second = machine.pid();
    assert!(machine.runs() && second != first);

    // A program that differs in nothing but its bytes.
    let newer = machine.path("newer");
    let mut bytes = fs::read(program).unwrap();
    bytes.extend_from_slice(b"newer");
    fs::write(&newer, bytes).unwrap();
    fs::set_permissions(&newer, fs::metadata(program).unwrap().permissions()).unwrap();
    let said = machine.run_ok(&["--binary", newer.to_str().unwrap()]).await;
    assert!(said.contains("installed") && said.contains("starting"), "{said}");
    assert!(machine.runs() && machine.pid() != second);
}

#[tokio::test]
async fn what_goes_wrong_is_said_and_leaves_things_as_they_were() {
    let Some(machine) = Machine::new() else { return };
    assert!(machine.run_fails(2, &["--restart"]).await.contains("unknown option --restart"));
    assert!(machine.run_fails(2, &["--wait", "long"]).await.contains("a number of seconds"));
    assert!(machine.run_fails(1, &["--binary", "nowhere"]).await.contains("nowhere is not a file"));

    fs::write(machine.path("manager/unreachable"), "").unwrap();
    assert!(machine.run_fails(1, &[]).await.contains("loginctl enable-linger"));
    fs::remove_file(machine.path("manager/unreachable")).unwrap();

    fs::write(machine.path("manager/broken-build"), "").unwrap();
    assert!(machine.run_fails(1, &[]).await.contains("was not built; nothing was changed"));
    fs::remove_file(machine.path("manager/broken-build")).unwrap();
    assert!(!machine.link().is_symlink() && !machine.path(".local/bin/membershipd").exists());

    // Somebody else's unit of that name is not written over, nor removed.
    fs::create_dir_all(machine.link().parent().unwrap()).unwrap();
    fs::write(machine.link(), "[Service]\n").unwrap();
    assert!(machine.run_fails(1, &[]).await.contains("a file of yours"));
    assert_eq!(machine.run_ok(&["--uninstall"]).await, "nothing is installed\n");
    assert_eq!(fs::read_to_string(machine.link()).unwrap(), "[Service]\n");
    fs::remove_file(machine.link()).unwrap();

    // A daemon that does not start is shown with what it said.
    let data = machine.path(".local/share/unibus/local_files");
    fs::create_dir_all(&data).unwrap();
    fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let said = machine.run_fails(1, &[]).await;
    assert!(said.contains("is open to other users") && said.contains("has ended"), "{said}");
    fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    machine.run_ok(&[]).await;
    assert!(machine.runs());
}
