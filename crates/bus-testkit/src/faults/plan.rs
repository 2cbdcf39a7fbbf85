//! What goes wrong when: a list that is made before the run, the same for the same seed.

use std::time::Duration;

use super::dice::Dice;
use super::record::Node;

/// How long a calm and a trouble last in a short run.
const SHORT_CALM: Duration = Duration::from_secs(2);
const SHORT_TROUBLE: Duration = Duration::from_secs(6);
/// Where each second counts.
const SHORTEST_CALM: Duration = Duration::from_secs(1);
/// Nodes notice at once that a connection has ended.
const UNTIL_KILLED_IS_MISSED: Duration = Duration::from_secs(4);
/// How long nodes mostly need to notice that somebody is not there, by pings that nobody answers or by the silence of a leader.
const UNTIL_NOTICED: Duration = Duration::from_secs(6);
/// The shortest and the longest in a long run.
const CALM: (u64, u64) = (3_000, 15_000);
const TROUBLE: (u64, u64) = (2_000, 40_000);
/// A clock: by a little more than what a request may be old, and by so much that nobody remembers what was then.
const WRONG_BY: [i64; 4] = [-3600, -120, 120, 3600];
/// Longer than an election and what follows from it.
const UNTIL_ELECTED: Duration = Duration::from_secs(12);

/// What can be done to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Killed without a word (SIGKILL), and started again at the end.
    Kill,
    /// Only its nats-server is killed; whoever supervises it has to notice.
    KillServer,
    /// Stands still (SIGSTOP), both daemon and nats-server.
    Stop,
    /// Only the daemon stands still, and its nats-server goes on.
    StopDaemon,
    /// Asked to stop, and started again when it has.
    Restart,
    /// Its lines to the other nodes.
    Cut(Cut),
    /// Its lines to clients. It is fine, and so are all others.
    ClientsCut(Cut),
    /// Its cable is out: neither nodes nor clients reach it.
    Unplugged,
    /// Everything between it and the others takes so much longer.
    Slow(Duration),
    /// So many of 1000 pieces between it and the others are lost.
    Lossy(u16),
    /// Killed, and started again without anything it kept.
    Wipe,
    /// Its disk is full.
    FullDisk,
    /// The certificate that it shows to other nodes has expired.
    ExpiredCertificate(Renewal),
    /// Its clock is wrong by so many seconds.
    Clock(i64, Onset),
}

impl Fault {
    /// What sort of trouble it is, as people name it.
    pub fn sort(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillServer => "kill-server",
            Self::Stop => "stop",
            Self::StopDaemon => "stop-daemon",
            Self::Restart => "restart",
            Self::Cut(_) => "cut",
            Self::ClientsCut(_) => "clients-cut",
            Self::Unplugged => "unplug",
            Self::Slow(_) => "slow",
            Self::Lossy(_) => "lossy",
            Self::Wipe => "wipe",
            Self::FullDisk => "full-disk",
            Self::ExpiredCertificate(_) => "expired-certificate",
            Self::Clock(..) => "clock",
        }
    }
}

/// Which way a node's lines are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing arrives on them.
    Both,
    /// It is not heard.
    Unheard,
    /// It does not hear.
    Deaf,
}

/// How a node comes to have a new certificate in place of one that has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It is started again.
    Restart,
    /// It is told to read it while it runs.
    Reload,
}

/// When a node's clock becomes wrong. It is right again while the node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onset {
    /// While it runs.
    Running,
    /// While it is down, so that it starts with it.
    Start,
}

/// To whom it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Whichever node leads then.
    Leader,
    /// This one.
    This(Node),
}

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// For how long nothing is wrong before.
    pub calm: Duration,
    /// What.
    pub fault: Fault,
    /// To whom.
    pub who: Who,
    /// For how long.
    pub lasts: Duration,
    /// Whether everything has to be whole before.
    pub from_whole: bool,
}

/// How much goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// One of each sort that needs nothing but processes and lines, in less than a minute.
    Short,
    /// Each way in which a network fails a node, and the loss of the leader, in little more than a minute.
    Network,
    /// For so long at least, and each sort at least once.
    Long(Duration),
    /// The same with these sorts alone ([`Fault::sort`]); nothing happens when there are none of these names.
    LongOf(Duration, Vec<String>),
    /// Nothing but the loss of the leader, so often, each time of a cluster that is whole: to see how long it takes.
    LeaderKills(usize),
}

impl Form {
    /// Whether it takes about a minute.
    pub fn is_short(&self) -> bool {
        matches!(self, Self::Short | Self::Network)
    }
}

/// All that goes wrong in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One after the other.
    pub steps: Vec<Step>,
}

impl Plan {
    /// A plan for so many nodes.
    pub fn new(seed: u64, form: Form, nodes: usize) -> Self {
        let mut dice = Dice::new(seed);
        let steps = match form {
            Form::Short => short(&mut dice, nodes),
            Form::Network => network(&mut dice, nodes),
            Form::Long(at_least) => long(&mut dice, nodes, at_least, |_| true),
            Form::LongOf(at_least, sorts) => {
                long(&mut dice, nodes, at_least, |fault| sorts.iter().any(|sort| sort == fault.sort()))
            }
            Form::LeaderKills(times) => leader_kills(&mut dice, times),
        };
        Self { steps }
    }

    /// How long it takes.
    pub fn lasts(&self) -> Duration {
        self.steps.iter().map(|step| step.calm + step.lasts).sum()
    }
}

/// The leader is killed; then three other things happen, which ones depend on the seed.
fn short(dice: &mut Dice, nodes: usize) -> Vec<Step> {
    let mut others = [
        Fault::Stop,
        Fault::Cut(Cut::Both),
        Fault::Cut(dice.one_of(&[Cut::Unheard, Cut::Deaf])),
        some_mess(dice),
    ];
    dice.shuffle(&mut others);
    let step = |fault, who| Step { calm: SHORT_CALM, fault, who, lasts: SHORT_TROUBLE, from_whole: false };
    let mut steps = vec![step(Fault::Kill, Who::Leader)];
    for fault in others.into_iter().take(3) {
        steps.push(step(fault, someone(dice, nodes)));
    }
    steps
}

/// The leader is killed; then, in any order, the leader is cut off, it and some other node are cut off in one direction each,
/// and for some node the network is bad.
fn network(dice: &mut Dice, nodes: usize) -> Vec<Step> {
    let all: Vec<Node> = (0..nodes).map(Node).collect();
    let mut one_way = [Cut::Unheard, Cut::Deaf];
    dice.shuffle(&mut one_way);
    let bad = dice.one_of(&[Fault::Slow(Duration::from_millis(400)), Fault::Lossy(200)]);
    let mut faults = [
        (dice.one_of(&[Fault::Cut(Cut::Both), Fault::Unplugged]), Who::Leader),
        (Fault::Cut(one_way[0]), Who::Leader),
        // Each loss of the leader takes its time, and these may be of others.
        (Fault::Cut(one_way[1]), Who::This(dice.one_of(&all))),
        (bad, Who::This(dice.one_of(&all))),
    ];
    dice.shuffle(&mut faults);
    let mut steps = vec![(Fault::Kill, Who::Leader, UNTIL_KILLED_IS_MISSED)];
    steps.extend(faults.into_iter().map(|(fault, who)| (fault, who, UNTIL_NOTICED)));
    let step = |(fault, who, lasts)| Step { calm: SHORTEST_CALM, fault, who, lasts, from_whole: false };
    steps.into_iter().map(step).collect()
}

fn long(dice: &mut Dice, nodes: usize, at_least: Duration, counts: impl Fn(Fault) -> bool) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lasts = Duration::ZERO;
    while lasts < at_least {
        // Rounds, so that nothing is left out.
        let mut round = every_sort(dice);
        dice.shuffle(&mut round);
        round.retain(|fault| counts(*fault));
        if round.is_empty() {
            return steps;
        }
        for fault in round {
            let step = Step {
                calm: between(dice, CALM),
                fault,
                who: someone(dice, nodes),
                lasts: between(dice, TROUBLE),
                // What only two nodes have may be lost with the second one: that is no fault of the bus.
                from_whole: matches!(fault, Fault::Wipe | Fault::FullDisk),
            };
            lasts += step.calm + step.lasts;
            steps.push(step);
        }
    }
    steps
}

fn leader_kills(dice: &mut Dice, times: usize) -> Vec<Step> {
    let kill = |_| Step {
        // Not at the same moment of whatever happens each second.
        calm: between(dice, (2_000, 4_000)),
        fault: Fault::Kill,
        who: Who::Leader,
        lasts: UNTIL_ELECTED,
        from_whole: true,
    };
    (0..times).map(kill).collect()
}

fn every_sort(dice: &mut Dice) -> Vec<Fault> {
    vec![
        Fault::Kill,
        Fault::KillServer,
        Fault::Stop,
        Fault::StopDaemon,
        Fault::Restart,
        Fault::Cut(Cut::Both),
        Fault::Cut(Cut::Unheard),
        Fault::Cut(Cut::Deaf),
        Fault::ClientsCut(dice.one_of(&[Cut::Both, Cut::Unheard, Cut::Deaf])),
        Fault::Unplugged,
        Fault::Slow(between(dice, (50, 1500))),
        Fault::Lossy(u16::try_from(50 + dice.below(400)).unwrap_or(u16::MAX)),
        Fault::Wipe,
        Fault::FullDisk,
        Fault::ExpiredCertificate(dice.one_of(&[Renewal::Restart, Renewal::Reload])),
        Fault::Clock(dice.one_of(&WRONG_BY), dice.one_of(&[Onset::Running, Onset::Start])),
    ]
}

fn some_mess(dice: &mut Dice) -> Fault {
    dice.one_of(&[
        Fault::Slow(Duration::from_millis(400)),
        Fault::Lossy(200),
        Fault::ClientsCut(Cut::Both),
        Fault::Restart,
        Fault::StopDaemon,
    ])
}

/// The leader half of the time: its loss is what everybody notices.
fn someone(dice: &mut Dice, nodes: usize) -> Who {
    if dice.below(2) == 0 {
        return Who::Leader;
    }
    let all: Vec<Node> = (0..nodes).map(Node).collect();
    Who::This(dice.one_of(&all))
}

fn between(dice: &mut Dice, (least, most): (u64, u64)) -> Duration {
    Duration::from_millis(least + dice.below(most - least))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::{Cut, Fault, Form, Plan, Who};

    #[test]
    fn the_same_seed_is_the_same_plan() {
        let form = Form::Long(Duration::from_mins(30));
        let plan = |seed| Plan::new(seed, form.clone(), 3);
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn a_short_plan_kills_the_leader_and_leaves_time_for_the_rest_of_a_minute() {
        for seed in 0..100 {
            let plan = Plan::new(seed, Form::Short, 3);
            assert!(plan.steps.iter().any(|step| step.fault == Fault::Kill && step.who == Who::Leader));
            assert!(plan.lasts() <= Duration::from_secs(35));
        }
    }

    #[test]
    fn a_plan_for_the_network_cuts_the_leader_off_and_cuts_each_way() {
        for seed in 0..100 {
            let plan = Plan::new(seed, Form::Network, 3);
            let has = |fault| plan.steps.iter().any(|step| step.fault == fault);
            let of_leader =
                |fault| plan.steps.iter().any(|step| (step.fault, step.who) == (fault, Who::Leader));
            assert!(has(Fault::Cut(Cut::Unheard)) && has(Fault::Cut(Cut::Deaf)), "{plan:?}");
            assert!(of_leader(Fault::Cut(Cut::Both)) || of_leader(Fault::Unplugged), "{plan:?}");
            assert!(of_leader(Fault::Kill), "{plan:?}");
            assert!(plan.lasts() <= Duration::from_secs(40));
        }
    }

    #[test]
    fn a_long_plan_leaves_nothing_out() {
        let plan = Plan::new(1, Form::Long(Duration::from_mins(30)), 3);
        assert!(plan.lasts() >= Duration::from_mins(30));
        let sorts: BTreeSet<&str> = plan.steps.iter().map(|step| step.fault.sort()).collect();
        assert_eq!(sorts.len(), 14, "{sorts:?}");
    }

    #[test]
    fn a_long_plan_of_some_sorts_has_no_other() {
        let of = |sorts: &[&str]| {
            let sorts = sorts.iter().map(ToString::to_string).collect();
            Plan::new(1, Form::LongOf(Duration::from_mins(5), sorts), 3)
        };
        let plan = of(&["wipe", "cut"]);
        assert!(plan.lasts() >= Duration::from_mins(5));
        let sorts: BTreeSet<&str> = plan.steps.iter().map(|step| step.fault.sort()).collect();
        assert_eq!(sorts, BTreeSet::from(["cut", "wipe"]));
        assert_eq!(of(&["earthquake"]).steps, []);
    }

    #[test]
    fn leaders_are_killed_so_often_and_nothing_else_happens() {
        let plan = Plan::new(1, Form::LeaderKills(20), 3);
        assert_eq!(plan.steps.len(), 20);
        let is_kill =
            |step: &super::Step| (step.fault, step.who, step.from_whole) == (Fault::Kill, Who::Leader, true);
        assert!(plan.steps.iter().all(is_kill), "{plan:?}");
    }
}
