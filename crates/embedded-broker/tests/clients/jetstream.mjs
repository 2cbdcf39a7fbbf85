// What a program that uses nats.js may expect of JetStream.
//
// The first line of standard input is a JSON document: { "url", "object": bytes of the large object }. Prints "ok" at
// the end. The client library is found in the directory that the first argument names (a node_modules directory).

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const load = createRequire(`${process.argv[2]}/`);
const { connect, headers } = load("@nats-io/transport-node");
const {
  AckPolicy, DeliverPolicy, DiscardPolicy, RetentionPolicy, jetstream, jetstreamManager, AdvisoryKind,
} = load("@nats-io/jetstream");
const { Kvm } = load("@nats-io/kv");
const { Objm } = load("@nats-io/obj");

const WAIT = 20_000;

function within(promise, what, patience = WAIT) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} in time`)), patience);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}

// The next ones of an iterable, which goes on.
async function take(iterator, count) {
  const got = [];
  while (got.length < count) {
    const { value, done } = await within(iterator.next(), `number ${got.length + 1} of ${count}`);
    assert.ok(!done, `the end after ${got.length} of ${count}`);
    got.push(value);
  }
  return got;
}

async function all(iterable) {
  const got = [];
  for await (const value of iterable) got.push(value);
  return got;
}

async function refused(promise, code) {
  const error = await promise.then(() => assert.fail("not refused"), (error) => error);
  assert.equal(error.code, code, String(error));
}

async function fill(js, subject, count) {
  for (let number = 1; number <= count; number++) await js.publish(subject, String(number));
}

const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
const texts = (messages) => messages.map((message) => message.string());

async function streams({ js, jsm }) {
  const info = await jsm.streams.add({ name: "js", subjects: ["js.>"], allow_direct: true });
  assert.deepEqual([info.config.retention, info.state.messages], ["limits", 0]);
  await fill(js, "js.a", 5);
  let ack = await js.publish("js.b", "x", { msgID: "one" });
  assert.deepEqual([ack.seq, ack.duplicate], [6, false]);
  ack = await js.publish("js.b", "x", { msgID: "one" });
  assert.deepEqual([ack.seq, ack.duplicate], [6, true]);
  await refused(js.publish("js.a", "x", { expect: { lastSequence: 99 } }), 10071);
  await refused(js.publish("js.a", "x", { expect: { lastSubjectSequence: 1 } }), 10071);
  await refused(js.publish("js.a", "x", { expect: { streamName: "other" } }), 10060);
  assert.equal(await jsm.streams.find("js.anything"), "js");
  const detailed = await jsm.streams.info("js", { subjects_filter: ">" });
  assert.deepEqual(detailed.state.subjects, { "js.a": 5, "js.b": 1 });
  assert.equal((await jsm.streams.getMessage("js", { seq: 2 })).string(), "2");
  assert.equal((await jsm.streams.getMessage("js", { last_by_subj: "js.a" })).seq, 5);
  assert.equal((await jsm.direct.getMessage("js", { seq: 3 })).string(), "3");
  assert.equal((await jsm.direct.getMessage("js", { last_by_subj: "js.a" })).string(), "5");
  assert.equal(await jsm.direct.getMessage("js", { seq: 99 }), null);
  const batch = await jsm.direct.getBatch("js", { seq: 2, batch: 3 });
  assert.deepEqual(texts(await all(batch)), ["2", "3", "4"]);
  const last = await jsm.direct.getLastMessagesFor("js", { multi_last: ["js.a", "js.b"] });
  assert.deepEqual(texts(await all(last)), ["5", "x"]);
  assert.ok(await jsm.streams.deleteMessage("js", 2));
  assert.equal(await jsm.streams.getMessage("js", { seq: 2 }), null);
  assert.equal((await jsm.streams.purge("js", { filter: "js.a", keep: 1 })).purged, 3);
  assert.equal((await jsm.streams.update("js", { subjects: ["js.>", "more"] })).config.subjects.length, 2);
  assert.deepEqual((await all(await jsm.streams.list())).map((stream) => stream.config.name), ["js"]);
  assert.deepEqual(await all(await jsm.streams.names()), ["js"]);
  assert.equal((await jsm.getAccountInfo()).streams, 1);
  await refused(jsm.streams.add({ name: "js", subjects: ["other"] }), 10058);
  await refused(jsm.streams.add({ name: "three", subjects: ["three"], num_replicas: 3 }), 10074);
  assert.ok(await jsm.streams.delete("js"));
  await refused(jsm.streams.info("js"), 10059);
  await jsm.streams.add({ name: "few", subjects: ["few"], max_msgs: 1, discard: DiscardPolicy.New });
  await js.publish("few", "1");
  await refused(js.publish("few", "2"), 10077);
  await jsm.streams.delete("few");
}

async function pulls({ js, jsm }) {
  await jsm.streams.add({ name: "pull", subjects: ["pull.>"] });
  await fill(js, "pull.a", 50);
  await jsm.consumers.add("pull", { durable_name: "worker", ack_policy: AckPolicy.Explicit });
  const consumer = await js.consumers.get("pull", "worker");
  const first = await consumer.next({ expires: 5000 });
  assert.deepEqual([first.string(), first.info.streamSequence, first.info.pending], ["1", 1, 49]);
  assert.ok(await first.ackAck());
  const fetched = await all(await consumer.fetch({ max_messages: 9, expires: 5000 }));
  assert.deepEqual(texts(fetched), numbers(2, 10));
  for (const message of fetched) message.ack();
  const messages = await consumer.consume({ max_messages: 10 });
  const rest = [];
  for await (const message of messages) {
    rest.push(message.string());
    message.ack();
    if (rest.length === 40) break;
  }
  assert.deepEqual(rest, numbers(11, 50));
  assert.equal(await consumer.next({ expires: 1000 }), null);
  const sized = await all(await consumer.fetch({ max_bytes: 1000, expires: 1000 }));
  assert.equal(sized.length, 0);
  // What is sent back comes again.
  await js.publish("pull.a", "again");
  (await consumer.next({ expires: 5000 })).nak();
  const again = await consumer.next({ expires: 5000 });
  assert.deepEqual([again.info.deliveryCount, again.redelivered], [2, true]);
  again.working();
  again.term("enough");
  // A consumer can be waited for, paused and deleted.
  const paused = await jsm.consumers.pause("pull", "worker", new Date(Date.now() + 3_600_000));
  assert.equal(paused.paused, true);
  assert.equal((await jsm.consumers.resume("pull", "worker")).paused, false);
  const names = (await all(await jsm.consumers.list("pull"))).map((info) => info.name);
  assert.deepEqual(names, ["worker"]);
  await jsm.consumers.update("pull", "worker", { max_deliver: 7 });
  assert.equal((await consumer.info()).config.max_deliver, 7);
  assert.ok(await consumer.delete());
  await refused(jsm.consumers.info("pull", "worker"), 10014);
  // Several filters.
  await fill(js, "pull.b", 2);
  await fill(js, "pull.c", 2);
  await jsm.consumers.add("pull", {
    durable_name: "some", ack_policy: AckPolicy.None, filter_subjects: ["pull.b", "pull.c"],
  });
  const some = await js.consumers.get("pull", "some");
  assert.equal((await all(await some.fetch({ max_messages: 4, expires: 5000 }))).length, 4);
  await jsm.streams.delete("pull");
}

async function workQueue({ js, jsm }) {
  await jsm.streams.add({ name: "work", subjects: ["work"], retention: RetentionPolicy.Workqueue });
  await fill(js, "work", 5);
  await jsm.consumers.add("work", { durable_name: "crew", ack_policy: AckPolicy.Explicit });
  await refused(jsm.consumers.add("work", { durable_name: "other", ack_policy: AckPolicy.Explicit }), 10099);
  const crew = await js.consumers.get("work", "crew");
  for (const message of await all(await crew.fetch({ max_messages: 5, expires: 5000 }))) await message.ackAck();
  while ((await jsm.streams.info("work")).state.messages > 0) await new Promise((wake) => setTimeout(wake, 5));
  await jsm.streams.delete("work");
}

async function ordered({ js, jsm }) {
  await jsm.streams.add({ name: "ordered", subjects: ["ordered.>"] });
  await fill(js, "ordered.a", 250);
  const consumer = await js.consumers.get("ordered");
  const messages = await consumer.consume();
  assert.deepEqual(texts(await take(messages[Symbol.asyncIterator](), 250)), numbers(1, 250));
  messages.stop();
  const later = await js.consumers.get("ordered", { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: 240 });
  assert.deepEqual(texts(await all(await later.fetch({ max_messages: 11, expires: 5000 }))), numbers(240, 250));
  await jsm.streams.delete("ordered");
}

async function pushes({ js, jsm }) {
  await jsm.streams.add({ name: "push", subjects: ["push.>"] });
  await fill(js, "push.a", 100);
  await jsm.consumers.add("push", {
    durable_name: "listener", deliver_subject: "deliver.js", ack_policy: AckPolicy.Explicit,
    idle_heartbeat: 1_000_000_000, flow_control: true,
  });
  const listener = await js.consumers.getPushConsumer("push", "listener");
  const messages = await listener.consume();
  const iterator = messages[Symbol.asyncIterator]();
  for (const message of await take(iterator, 100)) message.ack();
  await js.publish("push.b", "new");
  assert.equal((await take(iterator, 1))[0].string(), "new");
  messages.stop();
  const inOrder = await js.consumers.getPushConsumer("push", { filter_subjects: "push.a" });
  const orderedMessages = await inOrder.consume();
  assert.deepEqual(texts(await take(orderedMessages[Symbol.asyncIterator](), 100)), numbers(1, 100));
  orderedMessages.stop();
  await jsm.streams.delete("push");
}

async function advisories({ jsm }) {
  const heard = jsm.advisories()[Symbol.asyncIterator]();
  await jsm.streams.add({ name: "loud", subjects: ["loud"] });
  for (;;) {
    const [advisory] = await take(heard, 1);
    if (advisory.kind === AdvisoryKind.StreamAction && advisory.data.stream === "loud") {
      assert.equal(advisory.data.action, "create");
      break;
    }
  }
  await jsm.streams.delete("loud");
}

async function bucket({ kvm }) {
  const kv = await kvm.create("settings", { history: 5 });
  assert.equal(await kv.put("colour", "red"), 1);
  assert.equal((await kv.get("colour")).string(), "red");
  assert.equal(await kv.get("none"), null);
  assert.equal(await kv.create("size", "1"), 2);
  await refused(kv.create("size", "2"), 10071);
  assert.equal(await kv.update("size", "2", 2), 3);
  await refused(kv.update("size", "3", 2), 10071);
  await kv.put("colour", "blue");
  assert.equal((await kv.get("colour", { revision: 1 })).string(), "red");
  assert.deepEqual(texts(await all(await kv.history({ key: "colour" }))), ["red", "blue"]);
  assert.deepEqual((await all(await kv.keys())).sort(), ["colour", "size"]);
  await kv.delete("colour");
  assert.equal((await kv.get("colour")).operation, "DEL");
  await kv.create("colour", "green");
  await kv.purge("colour");
  assert.deepEqual((await all(await kv.history({ key: "colour" }))).map((entry) => entry.operation), ["PURGE"]);
  assert.deepEqual(await all(await kv.keys()), ["size"]);
  // Those of the coming second too, that is all of them.
  await kv.purgeDeletes(-1000);
  const status = await kv.status();
  assert.deepEqual([status.bucket, status.history, status.values], ["settings", 5, 2]);
  assert.deepEqual((await all(kvm.list())).map((status) => status.bucket), ["settings"]);
  assert.ok(await kv.destroy());
}

async function watches({ kvm }) {
  const kv = await kvm.create("watched", { history: 3 });
  await kv.put("a", "1");
  await kv.put("b", "2");
  const watch = await kv.watch();
  const iterator = watch[Symbol.asyncIterator]();
  const before = await take(iterator, 2);
  assert.deepEqual(before.map((entry) => [entry.key, entry.string()]), [["a", "1"], ["b", "2"]]);
  await kv.put("a", "3");
  await kv.delete("b");
  const after = await take(iterator, 2);
  assert.deepEqual(after.map((entry) => [entry.key, entry.operation, entry.isUpdate]), [["a", "PUT", true], ["b", "DEL", true]]);
  watch.stop();
  const old = await kv.watch({ key: "a", include: "history" });
  assert.deepEqual(texts(await take(old[Symbol.asyncIterator](), 2)), ["1", "3"]);
  old.stop();
  const updates = await kv.watch({ include: "updates" });
  await kv.put("c", "4");
  assert.equal((await take(updates[Symbol.asyncIterator](), 1))[0].key, "c");
  updates.stop();
  await kv.destroy();
}

async function lives({ kvm }) {
  const kv = await kvm.create("brief", { markerTTL: 30_000 });
  const watch = await kv.watch();
  const iterator = watch[Symbol.asyncIterator]();
  await kv.create("k", "x", "1s");
  const [made, over] = await take(iterator, 2);
  assert.deepEqual([made.operation, over.operation], ["PUT", "PURGE"]);
  watch.stop();
  await kv.destroy();
}

async function objects({ objm, size }) {
  const store = await objm.create("files");
  const first = new Uint8Array(300_000).map((_, index) => index % 256);
  const info = await store.putBlob({ name: "first" }, first);
  assert.deepEqual([info.size, info.chunks], [300_000, 3]);
  await store.putBlob({ name: "second" }, new TextEncoder().encode("small"));
  assert.ok(Buffer.from(await store.getBlob("first")).equals(Buffer.from(first)));
  await store.putBlob({ name: "first" }, new TextEncoder().encode("replaced"));
  assert.equal(new TextDecoder().decode(await store.getBlob("first")), "replaced");
  assert.deepEqual((await store.list()).map((info) => info.name).sort(), ["first", "second"]);
  await store.delete("second");
  assert.equal(await store.getBlob("second"), null);
  const large = new Uint8Array(size).map((_, index) => index % 251);
  await store.putBlob({ name: "large" }, large);
  assert.ok(Buffer.from(await store.getBlob("large")).equals(Buffer.from(large)), "the large object is what was stored");
  assert.equal((await store.seal()).sealed, true);
  await refused(store.putBlob({ name: "third" }, first), 10109);
  assert.ok(await store.destroy());
}

const given = JSON.parse(await text(process.stdin));
const client = await connect({ servers: given.url });
assert.ok(headers());
const everything = {
  js: jetstream(client), jsm: await jetstreamManager(client), kvm: new Kvm(client), objm: new Objm(client), size: given.object,
};
for (const check of [streams, pulls, workQueue, ordered, pushes, advisories, bucket, watches, lives, objects]) {
  await within(check(everything), check.name, 5 * WAIT);
}
await client.close();
console.log("ok");
