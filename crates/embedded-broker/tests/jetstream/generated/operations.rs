//! What may be done: small alphabets, so that things meet.

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

/// A stream, its consumers, and what is done with them.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) stream: Value,
    /// Configurations; their names are `C0` and so on.
    pub(super) consumers: Vec<Value>,
    pub(super) operations: Vec<Operation>,
}

#[derive(Debug, Clone)]
pub(super) enum Operation {
    Publish {
        subject: &'static str,
        headers: Vec<String>,
        body: String,
    },
    /// Pulls what is there.
    Fetch {
        consumer: usize,
        batch: u8,
    },
    /// Acknowledges one of the messages that were delivered, in whatever way.
    Acknowledge {
        consumer: usize,
        nth: usize,
        body: &'static str,
    },
    /// Anything that is asked of the API.
    Request {
        subject: &'static str,
        body: Value,
    },
    /// Asked for directly; ends with a status when it is a batch.
    Direct {
        body: Value,
    },
    Consumer {
        consumer: usize,
        config: Value,
    },
    DropConsumer {
        consumer: usize,
    },
}

impl Operation {
    /// Whether it removes messages from the middle of a stream, and many at once.
    pub(super) fn purges_some_subjects(&self) -> bool {
        match self {
            Self::Publish { headers, .. } => headers.iter().any(|header| header == "Nats-Rollup: sub"),
            Self::Request { subject, body } => {
                subject.starts_with("STREAM.PURGE") && body.get("filter").is_some()
            }
            _ => false,
        }
    }
}

/// How many consumers a stream can have.
pub(super) const CONSUMERS: usize = 2;

const SUBJECTS: [&str; 5] = ["s.a", "s.b", "s.c", "s.a.x", "s.b.x"];
const FILTERS: [&str; 7] = ["s.a", "s.b", "s.*", "s.>", "s.*.x", "s.none", ">"];

pub(super) fn plan() -> impl Strategy<Value = Plan> {
    (stream(), any::<bool>()).prop_flat_map(|(mut stream, in_order)| {
        let retention = stream["retention"].as_str().unwrap_or("limits").to_owned();
        let queue = retention == "workqueue";
        let rules = Rules { queue, in_order: in_order && !queue, in_memory: stream["storage"] == "memory" };
        if rules.in_order {
            stream["max_msgs_per_subject"] = Value::Null;
            stream["discard_new_per_subject"] = json!(false);
            stream["allow_rollup_hdrs"] = json!(false);
        }
        let consumers = vec(consumer(rules), 0..=CONSUMERS);
        (Just(stream), consumers, vec(operation(rules), 1..30))
            .prop_map(|(stream, consumers, operations)| Plan { stream, consumers, operations })
    })
}

/// What is possible together.
#[derive(Clone, Copy)]
struct Rules {
    /// The stream is a work queue.
    queue: bool,
    /// Messages leave the stream from its beginning only. With others, consumers do not acknowledge all that is before:
    /// nats-server takes a message that is deleted as one that they acknowledged, with all before it.
    in_order: bool,
    /// The stream is in memory. Of one on disk it is not said how many messages of many subjects stay, and it is not
    /// replaced as a whole: where that takes one message away, nats-server goes on counting it for consumers.
    in_memory: bool,
}

fn stream() -> impl Strategy<Value = Value> {
    let limits = (
        option::weighted(0.3, 1_i64..8),
        option::weighted(0.2, 100_i64..400),
        option::weighted(0.3, 1_i64..4),
        any::<bool>(),
        any::<bool>(),
    );
    let kinds = (
        prop_oneof![4 => Just("limits"), 2 => Just("workqueue"), 2 => Just("interest")],
        select(&["file", "memory"][..]),
        any::<bool>(),
        option::weighted(0.2, 20_i64..60),
    );
    (limits, kinds).prop_map(|((messages, bytes, each, new, each_new), (retention, storage, rollup, size))| {
        let mut config = json!({
            "name": "S", "subjects": ["s.>"], "retention": retention, "storage": storage, "allow_direct": true,
            "allow_rollup_hdrs": rollup, "max_msgs": messages, "max_bytes": bytes, "max_msgs_per_subject": each,
            "max_msg_size": size,
        });
        if new {
            config["discard"] = json!("new");
            if each.is_some() && each_new {
                config["discard_new_per_subject"] = json!(true);
            }
        }
        config
    })
}

fn consumer(rules: Rules) -> impl Strategy<Value = Value> + use<> {
    let policies = match rules {
        Rules { queue: true, .. } => &["explicit"][..],
        Rules { in_order: true, .. } => &["explicit", "all", "all", "none"][..],
        _ => &["explicit", "explicit", "none"][..],
    };
    let starts =
        if rules.queue { &["all"][..] } else { &["all", "all", "last", "new", "by_start_sequence"][..] };
    (
        select(policies),
        select(starts),
        option::weighted(0.5, select(&FILTERS[..])),
        option::weighted(0.2, 1_u8..3),
        option::weighted(0.2, 1_u8..4),
        0.1_f64..1.0,
        1_u64..10,
    )
        .prop_map(|(ack, start, filter, deliveries, pending, headers, sequence)| {
            let mut config = json!({ "ack_policy": ack, "deliver_policy": start });
            if let Some(filter) = filter {
                config["filter_subject"] = json!(filter);
            }
            if start == "by_start_sequence" {
                config["opt_start_seq"] = json!(sequence);
            }
            if let Some(deliveries) = deliveries.filter(|_| ack != "none") {
                config["max_deliver"] = json!(deliveries);
            }
            if let Some(pending) = pending.filter(|_| ack == "explicit") {
                config["max_ack_pending"] = json!(pending);
            }
            if headers < 0.2 {
                config["headers_only"] = json!(true);
            }
            config
        })
}

/// Another configuration for a consumer that may be there. It always has a filter: one whose filter is taken away is not
/// told of messages any more by nats-server.
fn other_consumer(rules: Rules) -> impl Strategy<Value = Value> + use<> {
    consumer(rules).prop_map(|mut config| {
        if config.get("filter_subject").is_none() {
            config["filter_subject"] = json!(">");
        }
        config
    })
}

fn operation(rules: Rules) -> impl Strategy<Value = Operation> + use<> {
    prop_oneof![
        10 => publish(rules),
        6 => (0..CONSUMERS, 1_u8..5).prop_map(|(consumer, batch)| Operation::Fetch { consumer, batch }),
        6 => (0..CONSUMERS, 0_usize..6, select(&["+ACK", "+ACK", "+ACK", "-NAK", "+TERM", "+WPI"][..]))
            .prop_map(|(consumer, nth, body)| Operation::Acknowledge { consumer, nth, body }),
        if rules.in_order { 2 } else { 4 } => removal(rules),
        2 => get().prop_map(|body| request("STREAM.MSG.GET.S", body)),
        2 => get().prop_map(|body| Operation::Direct { body }),
        1 => batch(),
        1 => select(&FILTERS[..])
            .prop_map(|filter| request("STREAM.INFO.S", json!({ "subjects_filter": filter, "deleted_details": true }))),
        1 => (0..CONSUMERS, other_consumer(rules))
            .prop_map(|(consumer, config)| Operation::Consumer { consumer, config }),
        1 => (0..CONSUMERS).prop_map(|consumer| Operation::DropConsumer { consumer }),
    ]
}

fn request(subject: &'static str, body: Value) -> Operation {
    Operation::Request { subject, body }
}

fn publish(rules: Rules) -> impl Strategy<Value = Operation> + use<> {
    let rollups = if rules.in_memory { &["sub", "bogus", "all"][..] } else { &["sub", "bogus"][..] };
    let headers = (
        option::weighted(0.15, select(&["x", "y", "z"][..])),
        option::weighted(0.1, 0_u64..12),
        option::weighted(0.1, 0_u64..12),
        option::weighted(0.1, select(rollups)),
        option::weighted(0.1, Just("value")),
    );
    (select(&SUBJECTS[..]), headers, 0_usize..40).prop_map(
        |(subject, (id, last, each, rollup, other), length)| {
            let mut headers = Vec::new();
            headers.extend(id.map(|id| format!("Nats-Msg-Id: {id}")));
            headers.extend(last.map(|last| format!("Nats-Expected-Last-Sequence: {last}")));
            headers.extend(each.map(|each| format!("Nats-Expected-Last-Subject-Sequence: {each}")));
            headers.extend(rollup.map(|rollup| format!("Nats-Rollup: {rollup}")));
            headers.extend(other.map(|other| format!("Other: {other}")));
            Operation::Publish { subject, headers, body: "b".repeat(length) }
        },
    )
}

/// Messages leave the stream because somebody says so.
fn removal(rules: Rules) -> impl Strategy<Value = Operation> + use<> {
    (any::<bool>(), 1_u64..15, purge(rules)).prop_map(move |(one, seq, purge)| {
        if one && !rules.in_order { request("STREAM.MSG.DELETE.S", json!({ "seq": seq })) } else { purge }
    })
}

fn purge(rules: Rules) -> impl Strategy<Value = Operation> + use<> {
    let bound = prop_oneof![
        Just(json!({})),
        (0_u64..15).prop_map(|seq| json!({ "seq": seq })),
        (0_u64..4).prop_map(|keep| json!({ "keep": keep }))
    ];
    (option::of(select(&FILTERS[..])), bound).prop_map(move |(filter, mut body)| {
        if let Some(filter) = filter.filter(|_| !rules.in_order) {
            body["filter"] = json!(filter);
        }
        let may_be_all = body["filter"].as_str().is_none_or(|filter| filter.contains(['*', '>']));
        if may_be_all && !rules.in_memory && body.get("keep").is_some() {
            let seq = body["keep"].take();
            body["seq"] = seq;
        }
        request("STREAM.PURGE.S", body)
    })
}

fn get() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0_u64..15).prop_map(|seq| json!({ "seq": seq })),
        // nats-server finds no last message of all when the last one is deleted.
        select(&FILTERS[..FILTERS.len() - 1]).prop_map(|filter| json!({ "last_by_subj": filter })),
        (0_u64..15, select(&FILTERS[..]))
            .prop_map(|(seq, filter)| json!({ "seq": seq, "next_by_subj": filter })),
    ]
}

fn batch() -> impl Strategy<Value = Operation> {
    let body = prop_oneof![
        (1_u8..5, 1_u64..10).prop_map(|(batch, seq)| json!({ "batch": batch, "seq": seq })),
        (1_u8..5, 1_u64..10, select(&FILTERS[..]))
            .prop_map(|(batch, seq, filter)| json!({ "batch": batch, "seq": seq, "next_by_subj": filter })),
        (vec(select(&FILTERS[..]), 1..3), option::of(1_u64..12))
            .prop_map(|(filters, last)| json!({ "multi_last": filters, "up_to_seq": last })),
    ];
    body.prop_map(|body| Operation::Direct { body })
}
