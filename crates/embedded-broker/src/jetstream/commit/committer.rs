//! The committer's thread.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    CommitQueue, Done, Failure, Item, Operation, Publish, Reply, Seen, Skip, Then, Work, group::Group,
    restoring::Restoring,
};
use crate::jetstream::{
    acknowledgement,
    config::SyncPolicy,
    follower::Follower,
    sender::Sender,
    store::{Change, StoreError, StreamId, StreamStore},
    stream::Stream,
    stream_config::Storage,
};

/// Items that an empty queue keeps room for.
const KEEP_ITEMS: usize = 4096;

/// What a message takes on the disk besides its bytes, with its subject's totals.
const MESSAGE_BYTES: usize = 1000;

/// After a failure, so long nothing is tried again that nobody waits for.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The thread that writes.
pub(crate) struct Committer {
    queue: Arc<CommitQueue>,
    files: Arc<dyn StreamStore>,
    memory: Arc<dyn StreamStore>,
    sync: SyncPolicy,
    sender: Sender,
    /// When the files were synced last.
    synced: Instant,
    /// Something is applied to the files and not synced.
    unsynced: bool,
    /// The files failed, and were not synced since: nobody can say whether what can be read of them is durable.
    is_doubtful: bool,
    /// The disk was full when messages were to be stored last: before others are, it is looked at.
    is_full: bool,
    /// Streams that go back to what is stored.
    restoring: Restoring,
    /// Operations that were too much for one group.
    unfinished: Vec<Job>,
    /// State of consumers that could not be written: a later state of theirs is written on top of it, so it must not be
    /// left out.
    unsaved: BTreeMap<(StreamId, Box<[u8]>), Option<Bytes>>,
    /// Streams that are gone for everybody, and could not be dropped yet.
    undropped: Vec<(Storage, StreamId)>,
    /// An empty queue.
    spare: Vec<Item>,
}

/// An operation on its way.
struct Job {
    stream: Arc<Stream>,
    operation: Operation,
    then: Then,
    /// Messages it has removed so far.
    removed: u64,
}

/// What is done to a stream, in its order.
enum Step {
    Message(Publish),
    Skip(Skip),
    Seen(Seen),
    Job(Job),
}

/// What follows when a group is durable, or has failed.
enum Effect {
    Acknowledge { reply: Box<str>, stream: Arc<Stream>, seq: u64, duplicate: bool },
    Refuse { reply: Box<str>, stream: Arc<Stream>, failure: Failure },
    Finish(Job),
    Continue(Job),
    Abandon(Job, Failure),
}

/// What is done to the streams of one store together.
#[derive(Default)]
struct Batch {
    /// State of consumers.
    states: Vec<Change>,
    /// A consumer answers something that is in `states`.
    needs_sync: bool,
    steps: Vec<Step>,
}

impl Committer {
    pub(crate) fn new(
        queue: Arc<CommitQueue>,
        files: Arc<dyn StreamStore>,
        memory: Arc<dyn StreamStore>,
        sync: SyncPolicy,
        sender: Sender,
    ) -> Self {
        Self {
            queue,
            files,
            memory,
            sync,
            sender,
            synced: Instant::now(),
            unsynced: false,
            is_doubtful: false,
            is_full: false,
            restoring: Restoring::default(),
            unfinished: Vec::new(),
            unsaved: BTreeMap::new(),
            undropped: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Works until the queue is stopped and empty.
    pub(crate) fn run(mut self) {
        loop {
            let (left, spare) = (!self.unfinished.is_empty(), std::mem::take(&mut self.spare));
            let due = [self.next_sync(), self.next_try()].into_iter().flatten().min();
            let Some(work) = self.queue.take(left, due, spare) else { break };
            self.commit(work);
        }
        self.drop_streams();
        if let Err(error) = self.files.sync() {
            tracing::error!(%error, "the last sync failed");
        }
    }

    fn commit(&mut self, Work { mut items, changed }: Work) {
        self.drop_streams();
        self.restoring.read();
        if !self.is_doubtful {
            self.restoring.show(Storage::File, None);
        }
        let (mut files, mut memory) = (Batch::default(), Batch::default());
        let replies = self.ask_followers(&changed, &mut files, &mut memory);
        let unfinished = std::mem::take(&mut self.unfinished).into_iter().map(Step::Job);
        let mut then: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
        let mut refusals = Vec::new();
        let steps = items.drain(..).filter_map(|item| match item {
            Item::Message(publish) => Some(Step::Message(publish)),
            Item::Skip(skip) => Some(Step::Skip(skip)),
            Item::Seen(seen) => Some(Step::Seen(seen)),
            Item::Operation { stream, operation, then } => {
                Some(Step::Job(Job { stream, operation, then, removed: 0 }))
            }
            Item::Reply(reply) => {
                refusals.push(reply);
                None
            }
            Item::Then { job, .. } => {
                then.push(job);
                None
            }
        });
        for step in unfinished.chain(steps) {
            match step.stream().storage {
                Storage::File => files.steps.push(step),
                Storage::Memory => memory.steps.push(step),
            }
        }
        items.shrink_to(KEEP_ITEMS);
        self.spare = items;
        // Each for itself, so that a full disk is nothing to streams in memory.
        let in_memory = self.commit_to(Storage::Memory, memory);
        self.sender.flush();
        let on_disk = self.commit_to(Storage::File, files);
        self.sync_when_due();
        if self.next_try().is_some_and(|due| due <= Instant::now()) {
            self.restore();
        }
        if in_memory && on_disk {
            // Without them a client asks again.
            for reply in &replies {
                reply.send(&mut self.sender);
            }
        }
        for reply in &refusals {
            reply.send(&mut self.sender);
        }
        for go in then {
            go();
        }
        self.sender.flush();
    }

    fn ask_followers(
        &mut self,
        changed: &[Arc<dyn Follower>],
        files: &mut Batch,
        memory: &mut Batch,
    ) -> Vec<Reply> {
        let unsaved = std::mem::take(&mut self.unsaved);
        files.states.extend(unsaved.into_iter().map(|((stream, key), value)| match value {
            Some(value) => Change::SetState { stream, key, value },
            None => Change::ClearState { stream, key },
        }));
        let mut replies = Vec::new();
        for follower in changed {
            let batch = if follower.keeps_state_in_memory() { &mut *memory } else { &mut *files };
            let answers = follower.take_changes(&mut batch.states);
            batch.needs_sync |= !answers.is_empty();
            replies.extend(answers);
        }
        replies
    }

    /// Writes a batch, and does what follows. Answers whether it is written.
    fn commit_to(&mut self, storage: Storage, Batch { states, needs_sync, steps }: Batch) -> bool {
        if states.is_empty() && steps.is_empty() && !needs_sync {
            return true;
        }
        let grows = steps.iter().any(|step| matches!(step, Step::Message(_)));
        if storage == Storage::File && self.is_full && grows {
            self.look_for_room(&steps);
        }
        let mut group = Group::new(Arc::clone(self.store(storage)));
        group.changes.extend(states.iter().cloned());
        group.needs_sync = needs_sync;
        let mut effects = Vec::with_capacity(steps.len());
        let written = self.write(storage, &mut group, steps, &mut effects);
        let Err(error) = written else {
            let rests = std::mem::take(&mut group.rests);
            self.unfinished.extend(rests.into_iter().map(|(stream, operation)| Job {
                stream,
                operation,
                then: Box::new(|_, _| {}),
                removed: 0,
            }));
            group.show();
            for effect in effects {
                self.succeed(effect);
            }
            return true;
        };
        tracing::error!(%error, "a group could not be written: what was to be stored with it is refused");
        let failure = Failure::from(&error);
        let mut again = Batch { states, ..Batch::default() };
        let is_again = |effect: &mut Effect| {
            failure == Failure::Full && grows && matches!(effect, Effect::Finish(_) | Effect::Continue(_))
        };
        for effect in effects.extract_if(.., is_again) {
            let (Effect::Finish(job) | Effect::Continue(job)) = effect else { continue };
            if let Operation::Purge(purge) = &job.operation {
                purge.end().into_iter().for_each(|end| job.stream.state.lock().promise(end));
            }
            again.steps.push(Step::Job(job));
        }
        self.roll_back(storage, group);
        for effect in effects {
            self.fail(effect, &failure);
        }
        if failure == Failure::Full && grows {
            self.is_full |= storage == Storage::File;
            // Deletes and acknowledgements make room; it was the messages there was no room for.
            self.commit_to(storage, again);
        } else if storage == Storage::File {
            self.keep_states(again.states);
        }
        false
    }

    /// Applies everything and syncs. `effects` has everything that was in `steps`, also after an error.
    fn write(
        &mut self,
        storage: Storage,
        group: &mut Group,
        steps: Vec<Step>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), StoreError> {
        let mut failed = None;
        for step in steps {
            let stream = Arc::clone(step.stream());
            if let Step::Job(Job { operation: Operation::Purge(purge), .. }) = &step {
                purge.end().into_iter().for_each(|end| stream.state.lock().redeem(end));
            }
            let step = match step {
                Step::Message(publish)
                    if self.is_full && storage == Storage::File && group.leave_out(&publish) =>
                {
                    // Nothing of it is applied, so nothing has to be read back.
                    let Publish { stream, reply, .. } = publish;
                    effects.extend(reply.map(|reply| Effect::Refuse {
                        reply,
                        stream,
                        failure: Failure::Full,
                    }));
                    continue;
                }
                step => step,
            };
            if let Some(failure) = step.is_void() {
                effects.extend(step.refused(failure));
                continue;
            }
            if failed.is_some() {
                // It is rolled back with the others: what was taken is void.
                let _touched = group.touch(&stream);
                effects.extend(step.effect());
                continue;
            }
            match step {
                Step::Message(mut publish) => {
                    effects.extend(acknowledge(publish.reply.take(), &stream, publish.seq, false));
                    failed = group.put(publish).err();
                }
                Step::Skip(skip) => {
                    group.skip(&skip);
                    effects.extend(acknowledge(skip.reply, &stream, skip.seq, false));
                }
                Step::Seen(seen) => effects.extend(acknowledge(Some(seen.reply), &stream, seen.seq, true)),
                Step::Job(mut job) => match group.operate(&stream, &job.operation) {
                    Ok(outcome) => {
                        job.removed += outcome.removed;
                        effects.push(match outcome.rest {
                            Some(rest) => Effect::Continue(Job { operation: rest, ..job }),
                            None => Effect::Finish(job),
                        });
                    }
                    Err(error) => {
                        failed = Some(error);
                        let _touched = group.touch(&stream);
                        effects.push(Effect::Finish(job));
                    }
                },
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        group.finish()?;
        if storage == Storage::File {
            self.unsynced = true;
            if (self.sync == SyncPolicy::Always && group.needs_sync) || self.is_doubtful {
                self.sync_files()?;
                self.restoring.show(storage, Some(group));
            }
        }
        Ok(())
    }

    /// Looks whether the disk that was full has room for messages again.
    fn look_for_room(&mut self, steps: &[Step]) {
        let bytes = steps.iter().map(|step| match step {
            Step::Message(publish) => {
                MESSAGE_BYTES + publish.record.data.len() + publish.record.subject.len()
            }
            _ => 0,
        });
        match self.files.has_room(bytes.sum()) {
            Ok(has_room) => self.is_full = !has_room,
            Err(error) => tracing::debug!(%error, "cannot see whether the disk has room again"),
        }
    }

    fn sync_files(&mut self) -> Result<(), StoreError> {
        self.synced = Instant::now();
        self.files.sync()?;
        self.unsynced = false;
        self.is_doubtful = false;
        Ok(())
    }

    /// Goes back to what is stored, as far as a group has changed it.
    fn roll_back(&mut self, storage: Storage, group: Group) {
        group.roll_back(&mut self.restoring);
        self.restoring.read_anew(storage);
        match storage {
            Storage::Memory => {
                self.restoring.read();
                self.restoring.show(storage, None);
            }
            Storage::File => {
                self.is_doubtful = true;
                self.restore();
            }
        }
    }

    /// Makes what is stored durable, reads it back where a group has failed, and lets it show.
    fn restore(&mut self) {
        let synced = self.sync_files();
        if synced.is_err() {
            self.restoring.read_anew(Storage::File);
        }
        self.restoring.read();
        match synced {
            Ok(()) => self.restoring.show(Storage::File, None),
            Err(error) => {
                tracing::error!(%error, "what is stored cannot be made durable; it does not show until it is");
            }
        }
    }

    /// When what failed is tried again, though nobody asks.
    fn next_try(&self) -> Option<Instant> {
        (self.is_doubtful || !self.restoring.is_empty()).then(|| self.synced + RETRY_AFTER)
    }

    /// When what is applied has to be synced, where not every group is.
    fn next_sync(&self) -> Option<Instant> {
        match self.sync {
            SyncPolicy::Every(interval) if self.unsynced => Some(self.synced + interval),
            _ => None,
        }
    }

    fn sync_when_due(&mut self) {
        if self.next_sync().is_some_and(|due| due <= Instant::now())
            && let Err(error) = self.sync_files()
        {
            tracing::error!(%error, "what was written cannot be synced");
        }
    }

    /// Drops streams that could not be dropped when they were deleted.
    fn drop_streams(&mut self) {
        let undropped = std::mem::take(&mut self.undropped);
        for (storage, stream) in undropped {
            self.unsaved.retain(|(of, _), _| *of != stream);
            if let Err(error) = self.store(storage).apply(&[Change::DropStream { stream }]) {
                tracing::debug!(%error, stream = stream.0, "a stream cannot be dropped yet");
                self.undropped.push((storage, stream));
            }
            self.unsynced |= storage == Storage::File;
        }
    }

    fn keep_states(&mut self, states: Vec<Change>) {
        for change in states {
            let (entry, value) = match change {
                Change::SetState { stream, key, value } => ((stream, key), Some(value)),
                Change::ClearState { stream, key } => ((stream, key), None),
                _ => continue,
            };
            self.unsaved.insert(entry, value);
        }
    }

    fn store(&self, storage: Storage) -> &Arc<dyn StreamStore> {
        match storage {
            Storage::File => &self.files,
            Storage::Memory => &self.memory,
        }
    }

    fn succeed(&mut self, effect: Effect) {
        match effect {
            Effect::Acknowledge { reply, stream, seq, duplicate } => {
                let body = if duplicate {
                    acknowledgement::duplicate(&stream.name, seq)
                } else {
                    acknowledgement::stored(&stream.name, seq)
                };
                let _receivers = self.sender.publish(&reply, &body);
            }
            Effect::Refuse { reply, stream, failure } => self.refuse(&reply, &stream, &failure),
            Effect::Finish(Job { then, removed, .. }) => then(Ok(Done { removed }), &mut self.sender),
            Effect::Continue(job) => self.unfinished.push(job),
            Effect::Abandon(job, failure) => (job.then)(Err(failure), &mut self.sender),
        }
    }

    fn fail(&mut self, effect: Effect, failure: &Failure) {
        match effect {
            Effect::Acknowledge { reply, stream, .. } => self.refuse(&reply, &stream, failure),
            Effect::Refuse { reply, stream, failure } => self.refuse(&reply, &stream, &failure),
            Effect::Finish(job) | Effect::Continue(job) => {
                if matches!(job.operation, Operation::Create(_) | Operation::Drop) {
                    // Whether something of it is stored is not known, and nobody sees it any more.
                    job.stream.forget();
                    self.undropped.push((job.stream.storage, job.stream.id));
                }
                (job.then)(Err(failure.clone()), &mut self.sender);
            }
            Effect::Abandon(job, failure) => (job.then)(Err(failure), &mut self.sender),
        }
    }

    fn refuse(&mut self, reply: &str, stream: &Stream, failure: &Failure) {
        let _receivers = self.sender.publish(reply, &acknowledgement::failed(&stream.name, failure));
    }
}

impl Step {
    fn stream(&self) -> &Arc<Stream> {
        match self {
            Self::Message(Publish { stream, .. })
            | Self::Skip(Skip { stream, .. })
            | Self::Seen(Seen { stream, .. })
            | Self::Job(Job { stream, .. }) => stream,
        }
    }

    /// Why it cannot be done, whatever the store does.
    fn is_void(&self) -> Option<Failure> {
        let stream = self.stream();
        if matches!(self, Self::Job(Job { operation: Operation::Drop, .. })) {
            return None;
        }
        if stream.is_forgotten() {
            return Some(Failure::Gone);
        }
        if stream.is_unread() {
            return Some(Failure::Failed("the stream cannot be read back yet".to_owned()));
        }
        let epoch = match self {
            Self::Message(Publish { epoch, .. })
            | Self::Skip(Skip { epoch, .. })
            | Self::Seen(Seen { epoch, .. }) => *epoch,
            Self::Job(_) => return None,
        };
        (epoch != stream.epoch())
            .then(|| Failure::Failed("a message before it could not be stored".to_owned()))
    }

    /// What follows from it, before it is known how it ends.
    fn effect(self) -> Option<Effect> {
        let stream = Arc::clone(self.stream());
        match self {
            Self::Message(Publish { reply, seq, .. }) | Self::Skip(Skip { reply, seq, .. }) => {
                acknowledge(reply, &stream, seq, false)
            }
            Self::Seen(Seen { reply, seq, .. }) => acknowledge(Some(reply), &stream, seq, true),
            Self::Job(job) => Some(Effect::Finish(job)),
        }
    }

    fn refused(self, failure: Failure) -> Option<Effect> {
        match self.effect()? {
            Effect::Acknowledge { reply, stream, .. } => Some(Effect::Refuse { reply, stream, failure }),
            Effect::Finish(job) => Some(Effect::Abandon(job, failure)),
            effect => Some(effect),
        }
    }
}

fn acknowledge(reply: Option<Box<str>>, stream: &Arc<Stream>, seq: u64, duplicate: bool) -> Option<Effect> {
    Some(Effect::Acknowledge { reply: reply?, stream: Arc::clone(stream), seq, duplicate })
}

impl From<&StoreError> for Failure {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            other => Self::Failed(other.to_string()),
        }
    }
}
