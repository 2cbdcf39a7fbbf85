//! A switch that does not carry everything: a bridge, and on each of its ports rules for what comes from each of the others.
//!
//! The rules are where packets leave the switch. Whoever sends one learns nothing of what becomes of it, as on a real network;
//! in the sender's own kernel it would. What is not IP always passes, so that a machine stays known to those who cannot hear
//! it, and what is cut one way is cut one way only.
//!
//! Each port has a queue that takes all, one that loses all, and one for each other port that is narrow. A filter for each
//! other port, a few instructions of the classic packet filter, says which one a packet goes to.

use std::net::Ipv4Addr;
use std::time::Duration;

use bus_testkit::faults::Flow;

use super::machine::Machine;

/// How much goes through something narrow in a second: less than nodes have to say to each other while clients write.
const NARROW_BITS: u64 = 1_000_000;
/// What waits there at least: two packets.
const LEAST_WAITING: u64 = 3_000;

/// The queue that takes all, and where everything goes that no filter is for.
const ALL: u32 = 1;
/// The queue that loses all.
const NOTHING: u32 = 2;
/// The narrow ones are numbered from here on.
const NARROW: u32 = 0x10;

/// The bridge.
const BRIDGE: &str = "switch";

/// A machine that is a switch, with so many others on it.
pub(super) struct Switch {
    machine: Machine,
    addresses: Vec<Ipv4Addr>,
}

/// Which of them, in the order of their addresses.
type Port = usize;

impl Switch {
    /// A switch that carries everything between these machines, which get these addresses. An error is why there is none.
    pub(super) fn between(machines: &[(&Machine, Ipv4Addr)]) -> Result<Self, String> {
        let machine = Machine::new()?;
        let mut links = vec![format!("link add {BRIDGE} type bridge"), format!("link set {BRIDGE} up")];
        for (port, (other, _)) in machines.iter().enumerate() {
            let (at, there) = (port_name(port), other.name());
            // No packets that are larger than on a wire: one that is lost would be many.
            let size = "gso_max_segs 1";
            links.push(format!("link add {at} {size} type veth peer name eth0 {size} netns {there}"));
            links.push(format!("link set {at} master {BRIDGE} up"));
        }
        machine.batch("ip", &links)?;
        for (other, address) in machines {
            let own = ["link set lo up", &format!("address add {address}/24 dev eth0"), "link set eth0 up"];
            other.batch("ip", &own)?;
        }
        for port in 0..machines.len() {
            machine.batch("tc", &queues(&port_name(port), machines.len()))?;
        }
        let addresses: Vec<Ipv4Addr> = machines.iter().map(|(_, address)| *address).collect();
        let switch = Self { machine, addresses };
        let ports = 0..machines.len();
        let pairs = ports.clone().flat_map(|from| ports.clone().map(move |to| (from, to)));
        let pairs = pairs.filter(|(from, to)| from != to).map(|(from, to)| (from, to, Flow::Pass));
        switch.change(&pairs.collect::<Vec<_>>())?;
        Ok(switch)
    }

    /// What happens from now on to what goes from the first port to the second, for each of these.
    pub(super) fn change(&self, changes: &[(Port, Port, Flow)]) -> Result<(), String> {
        let rules =
            changes.iter().flat_map(|(from, to, flow)| rules(*from, self.addresses[*from], *to, *flow));
        self.machine.batch("tc", &rules.collect::<Vec<_>>())
    }

    /// Takes the cable out of a port: neither side has a carrier.
    pub(super) fn unplug(&self, port: Port) {
        self.machine.batch("ip", &[format!("link set {} down", port_name(port))]).unwrap();
    }

    /// Puts it in again, if it is out.
    pub(super) fn plug_in(&self, port: Port) {
        self.machine.batch("ip", &[format!("link set {} up", port_name(port))]).unwrap();
    }
}

fn port_name(port: Port) -> String {
    format!("port-{port}")
}

/// The queues of a port, for what comes from so many.
fn queues(at: &str, ports: usize) -> Vec<String> {
    let class = |class: u32, rate: &str| {
        format!("class add dev {at} parent 1: classid 1:{class:x} htb rate {rate} quantum 60000")
    };
    let mut queues = vec![
        format!("qdisc add dev {at} root handle 1: htb default {ALL}"),
        class(ALL, "10gbit"),
        class(NOTHING, "10gbit"),
        format!("qdisc add dev {at} parent 1:{NOTHING:x} bfifo limit 1"),
    ];
    queues.extend((0..ports).map(|from| class(narrow(from), &format!("{NARROW_BITS}bit"))));
    queues
}

fn narrow(from: Port) -> u32 {
    NARROW + u32::try_from(from).unwrap()
}

/// What tells a port of the switch what happens to what comes from an address, which is that of another port.
fn rules(from: Port, address: Ipv4Addr, to: Port, flow: Flow) -> Vec<String> {
    let at = port_name(to);
    let class = narrow(from);
    let mut rules = Vec::new();
    let filter = match flow {
        Flow::Pass => Filter::all_to(ALL),
        Flow::Hold => Filter::all_to(NOTHING),
        Flow::Slow(delay) => {
            let limit = waiting(delay);
            rules.push(format!("qdisc replace dev {at} parent 1:{class:x} bfifo limit {limit}"));
            Filter::all_to(class)
        }
        Flow::Lossy(losses) => Filter { per_mille: losses, then: NOTHING, otherwise: ALL },
    };
    let filter_at = format!("filter replace dev {at} parent 1: protocol all prio {} handle 1", from + 1);
    rules.push(format!("{filter_at} bpf bytecode \"{}\" flowid 1:{ALL:x}", filter.bytecode(address)));
    rules
}

/// How many bytes wait where something narrow takes so long.
fn waiting(delay: Duration) -> u64 {
    let bits = u64::try_from(delay.as_millis()).unwrap() * NARROW_BITS / 1000;
    (bits / 8).max(LEAST_WAITING)
}

/// Which queue packets of an address go to.
struct Filter {
    /// So many of 1000, by chance.
    per_mille: u16,
    /// Those.
    then: u32,
    /// The others.
    otherwise: u32,
}

impl Filter {
    fn all_to(queue: u32) -> Self {
        Self { per_mille: 1000, then: queue, otherwise: queue }
    }

    /// The filter for packets from an address, as `tc` takes it: the number of instructions, and of each the code, two jumps
    /// and a value.
    fn bytecode(&self, address: Ipv4Addr) -> String {
        const LOAD_HALF: u16 = 0x28;
        const LOAD_WORD: u16 = 0x20;
        const EQUAL: u16 = 0x15;
        const AT_LEAST: u16 = 0x35;
        const RETURN: u16 = 0x06;
        /// Loading a word from there gives a number by chance (`SKF_AD_OFF + SKF_AD_RANDOM`).
        const CHANCE: u32 = 0xffff_f038;
        const ETHERTYPE: u32 = 12;
        const IP: u32 = 0x0800;
        const SOURCE: u32 = 14 + 12;
        let of_all = u32::try_from(u64::from(u32::MAX) * u64::from(self.per_mille) / 1000).unwrap();
        let class = |minor: u32| 1 << 16 | minor;
        let instructions = [
            (LOAD_HALF, 0, 0, ETHERTYPE),
            (EQUAL, 0, 6, IP),
            (LOAD_WORD, 0, 0, SOURCE),
            (EQUAL, 0, 4, address.to_bits()),
            (LOAD_WORD, 0, 0, CHANCE),
            (AT_LEAST, 1, 0, of_all),
            (RETURN, 0, 0, class(self.then)),
            (RETURN, 0, 0, class(self.otherwise)),
            // Not for this filter.
            (RETURN, 0, 0, 0),
        ];
        let texts =
            instructions.map(|(code, then, otherwise, value)| format!("{code} {then} {otherwise} {value}"));
        format!("{},{}", texts.len(), texts.join(","))
    }
}
