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

/// How many consumers a stream can have.
pub(super) const CONSUMERS: usize = 2;

const SUBJECTS: [&str; 5] = ["s.a", "s.b", "s.c", "s.a.x", "s.b.x"];
const FILTERS: [&str; 7] = ["s.a", "s.b", "s.*", "s.>", "s.*.x", "s.none", ">"];

pub(super) fn plan() -> impl Strategy<Value = Plan> {
    stream().prop_flat_map(|stream| {
        let retention = stream["retention"].as_str().unwrap_or("limits").to_owned();
        let consumers = vec(consumer(&retention), 0..=CONSUMERS);
        (Just(stream), consumers, vec(operation(&retention), 1..30))
            .prop_map(|(stream, consumers, operations)| Plan { stream, consumers, operations })
    })
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

fn consumer(retention: &str) -> impl Strategy<Value = Value> + use<> {
    let queue = retention == "workqueue";
    let policies = if queue { &["explicit"][..] } else { &["explicit", "explicit", "all", "none"][..] };
    let starts = if queue { &["all"][..] } else { &["all", "all", "last", "new", "by_start_sequence"][..] };
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

fn operation(retention: &str) -> impl Strategy<Value = Operation> + use<> {
    prop_oneof![
        10 => publish(),
        6 => (0..CONSUMERS, 1_u8..5).prop_map(|(consumer, batch)| Operation::Fetch { consumer, batch }),
        6 => (0..CONSUMERS, 0_usize..6, select(&["+ACK", "+ACK", "+ACK", "-NAK", "+TERM", "+WPI"][..]))
            .prop_map(|(consumer, nth, body)| Operation::Acknowledge { consumer, nth, body }),
        2 => (1_u64..15).prop_map(|seq| request("STREAM.MSG.DELETE.S", json!({ "seq": seq }))),
        2 => purge(),
        2 => get().prop_map(|body| request("STREAM.MSG.GET.S", body)),
        2 => get().prop_map(|body| Operation::Direct { body }),
        1 => batch(),
        1 => select(&FILTERS[..])
            .prop_map(|filter| request("STREAM.INFO.S", json!({ "subjects_filter": filter, "deleted_details": true }))),
        1 => (0..CONSUMERS, consumer(retention))
            .prop_map(|(consumer, config)| Operation::Consumer { consumer, config }),
        1 => (0..CONSUMERS).prop_map(|consumer| Operation::DropConsumer { consumer }),
    ]
}

fn request(subject: &'static str, body: Value) -> Operation {
    Operation::Request { subject, body }
}

fn publish() -> impl Strategy<Value = Operation> {
    let headers = (
        option::weighted(0.15, select(&["x", "y", "z"][..])),
        option::weighted(0.1, 0_u64..12),
        option::weighted(0.1, 0_u64..12),
        option::weighted(0.1, select(&["sub", "all", "bogus"][..])),
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

fn purge() -> impl Strategy<Value = Operation> {
    let bound = prop_oneof![
        Just(json!({})),
        (0_u64..15).prop_map(|seq| json!({ "seq": seq })),
        (0_u64..4).prop_map(|keep| json!({ "keep": keep }))
    ];
    (option::of(select(&FILTERS[..])), bound).prop_map(|(filter, mut body)| {
        if let Some(filter) = filter {
            body["filter"] = json!(filter);
        }
        request("STREAM.PURGE.S", body)
    })
}

fn get() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0_u64..15).prop_map(|seq| json!({ "seq": seq })),
        select(&FILTERS[..]).prop_map(|filter| json!({ "last_by_subj": filter })),
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
