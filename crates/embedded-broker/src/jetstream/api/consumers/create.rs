//! Making and changing consumers.

use std::sync::Arc;

use rand::RngExt as _;

use crate::jetstream::{
    advisory,
    api::{Answer, ApiRequest},
    api_error::ApiError,
    commit::Operation,
    consumer::{Consumer, ConsumerInfo, Creator, NotJoined},
    consumer_config::{Action, Bounds, ConsumerConfig, ConsumerRequest},
    origin::Origin,
    scheduler::Worker,
    stream::Stream,
    stream_config::{REQUIRED_LEVEL, Retention},
};

/// Characters of a name that a client leaves to the server.
const NAME: usize = 8;

/// `CONSUMER.DURABLE.CREATE.STREAM.NAME`
pub(super) fn create_durable(stream: &str, name: &str, request: &ApiRequest, worker: &mut Worker) {
    let read = read(stream, request).and_then(|read| {
        if read.config.durable_name.is_empty() {
            return Err(ApiError::consumer_durable_name_not_set());
        }
        Ok(read)
    });
    go_on(stream, Some(name), None, request, worker, read);
}

/// `CONSUMER.CREATE.STREAM[.NAME[.FILTER]]`
pub(super) fn create(
    stream: &str,
    name: Option<&str>,
    filter: Option<&str>,
    request: &ApiRequest,
    worker: &mut Worker,
) {
    let read = read(stream, request).and_then(|read| {
        if name.is_none() && !read.config.durable_name.is_empty() {
            return Err(ApiError::consumer_ephemeral_with_durable_name());
        }
        Ok(read)
    });
    go_on(stream, name, filter, request, worker, read);
}

fn read(stream: &str, request: &ApiRequest) -> Result<ConsumerRequest, ApiError> {
    request.check_level()?;
    let read = ConsumerRequest::read(&request.body)?;
    if read.stream_name == stream { Ok(read) } else { Err(ApiError::stream_mismatch()) }
}

fn go_on(
    stream: &str,
    name: Option<&str>,
    filter: Option<&str>,
    request: &ApiRequest,
    worker: &mut Worker,
    read: Result<ConsumerRequest, ApiError>,
) {
    let answer = Answer::new(&worker.engine, request, "consumer_create_response");
    match read.and_then(|read| made(worker, stream, name, filter, read, request.origin.as_ref())) {
        Err(error) => answer.give::<ConsumerInfo>(&mut worker.sender, Err(error)),
        Ok(Made::Nothing(consumer)) => answer.give(&mut worker.sender, Ok(consumer.info())),
        Ok(Made::Changed(consumer, created)) => {
            let stored = consumer.is_stored();
            let changes = match (stored, created) {
                (false, _) => Vec::new(),
                (true, true) => consumer.creation(),
                (true, false) => vec![consumer.config_change(&consumer.config())],
            };
            // As it was made, before it delivers.
            let info = consumer.info();
            let stream = Arc::clone(&consumer.stream);
            let commit = Arc::clone(&worker.engine.commit);
            let give = move |result: Result<_, _>, sender: &mut _| match result {
                Ok(_) => {
                    if created {
                        advisory::consumer_action(sender, &consumer, "create");
                    }
                    answer.give(sender, Ok(info));
                    consumer.start();
                }
                Err(failure) => {
                    if created && consumer.stream.consumers.remove(&consumer) {
                        consumer.stop(sender);
                    }
                    answer.fail(sender, &failure);
                }
            };
            commit.operate(&stream, Operation::Write(changes), give);
        }
    }
}

/// What a request came to.
enum Made {
    /// The consumer is there already, exactly so.
    Nothing(Arc<Consumer>),
    /// It is new, or another one than before. The flag says whether it is new.
    Changed(Arc<Consumer>, bool),
}

impl Made {
    /// An existing consumer was changed. What only it wanted and does not want any more leaves a stream that keeps what
    /// somebody wants.
    fn changed(worker: &Worker, consumer: Arc<Consumer>, before: &ConsumerConfig) -> Self {
        let stream = &consumer.stream;
        if stream.config().retention == Retention::Interest && before.filters() != consumer.config().filters()
        {
            worker.engine.commit.operate(stream, Operation::InterestLost(consumer.ack_floor()), |_, _| {});
        }
        Self::Changed(consumer, false)
    }
}

fn made(
    worker: &Worker,
    stream: &str,
    name: Option<&str>,
    filter: Option<&str>,
    request: ConsumerRequest,
    origin: Option<&Origin>,
) -> Result<Made, ApiError> {
    let ConsumerRequest { mut config, action, pedantic, .. } = request;
    let stream = worker.engine.stream(stream).ok_or_else(ApiError::stream_not_found)?;
    let name = named(&mut config, name)?;
    if let Some(filter) = filter {
        if !config.filter_subjects.is_empty() {
            return Err(ApiError::consumer_multiple_filters_not_allowed());
        }
        if config.filter_subject != filter {
            return Err(ApiError::consumer_filter_mismatch());
        }
    }
    let stream_config = stream.config();
    let config = config.with_defaults(&stream_config, pedantic)?;
    config.check(&Bounds { stream: &stream_config })?;
    check_deliver_subject(worker, &config, origin)?;
    let creator = origin.filter(|_| config.is_push()).map(Origin::creator);
    match stream.consumers.get(&name) {
        Some(existing) => change(worker, &stream, existing, config, action, creator),
        None if action == Action::Update => Err(ApiError::consumer_does_not_exist()),
        None => {
            check_room(worker, &stream)?;
            check_queue(&stream, &name, &config)?;
            let made = Consumer::create(&worker.engine, &stream, &name, config, creator);
            let consumer = made.map_err(|error| unreadable(&error))?;
            stream.consumers.add(&consumer);
            Ok(Made::Changed(consumer, true))
        }
    }
}

/// The name of a consumer: from the subject, or from the configuration, or made up.
fn named(config: &mut ConsumerConfig, subject: Option<&str>) -> Result<String, ApiError> {
    if let Some(name) = subject {
        ConsumerConfig::check_name(name)?;
        if !config.durable_name.is_empty() && config.durable_name != name {
            return Err(ApiError::consumer_durable_name_mismatch());
        }
        name.clone_into(&mut config.name);
        return Ok(name.to_owned());
    }
    if !config.name.is_empty() {
        ConsumerConfig::check_name(&config.name)?;
        return Ok(config.name.clone());
    }
    let mut random = rand::rng();
    Ok((0..NAME).map(|_| char::from(random.sample(rand::distr::Alphanumeric))).collect())
}

fn change(
    worker: &Worker,
    stream: &Arc<Stream>,
    existing: Arc<Consumer>,
    mut config: ConsumerConfig,
    action: Action,
    creator: Option<Creator>,
) -> Result<Made, ApiError> {
    let before = existing.config();
    if config.inactive_threshold == 0 {
        config.inactive_threshold = before.inactive_threshold;
    }
    // To pause it and to let it go on are requests of their own.
    config.pause_until = before.pause_until;
    config.metadata.insert(REQUIRED_LEVEL.to_owned(), config.required_level().to_string());
    if *before == config {
        // Whoever asks for what is there already has it from now on.
        let made = if existing.is_made_by(creator) {
            Made::Nothing(existing)
        } else {
            Made::Changed(existing, false)
        };
        return Ok(made);
    }
    if action == Action::Create {
        return Err(ApiError::consumer_already_exists());
    }
    before.check_update(&config)?;
    if before.deliver_subject != config.deliver_subject && existing.is_in_use() {
        return Err(ApiError::consumer_name_exists());
    }
    check_queue(stream, &existing.name, &config)?;
    existing.reconfigure(config).map_err(|error| unreadable(&error))?;
    let _same = existing.is_made_by(creator);
    Ok(Made::changed(worker, existing, &before))
}

fn check_room(worker: &Worker, stream: &Stream) -> Result<(), ApiError> {
    let of_stream = stream.config().max_consumers();
    let of_broker = worker.engine.limits.max_consumers.map(|most| most as u64);
    let most = [of_stream, of_broker].into_iter().flatten().min();
    if most.is_some_and(|most| stream.consumers.len() as u64 >= most) {
        return Err(ApiError::maximum_consumers_limit());
    }
    Ok(())
}

/// In a work queue each message has one consumer.
fn check_queue(stream: &Stream, name: &str, config: &ConsumerConfig) -> Result<(), ApiError> {
    if stream.config().retention != Retention::WorkQueue {
        return Ok(());
    }
    let filters = config.filters();
    for other in stream.consumers.all().iter().filter(|other| &*other.name != name) {
        // A filter that matches everything is one.
        if !config.is_filtered() {
            return Err(ApiError::consumer_queue_not_unfiltered());
        }
        if filters.overlaps(&other.config().filters()) {
            return Err(ApiError::consumer_queue_not_unique());
        }
    }
    Ok(())
}

/// The broker delivers with all rights: nobody is to borrow them.
fn check_deliver_subject(
    worker: &Worker,
    config: &ConsumerConfig,
    origin: Option<&Origin>,
) -> Result<(), ApiError> {
    let Some(origin) = origin.filter(|_| config.is_push()) else { return Ok(()) };
    let policy = worker.engine.clients.reply_policy;
    if origin.may_have_sent_to(&config.deliver_subject, config.group(), policy) {
        return Ok(());
    }
    Err(ApiError::consumer_create("deliver subject is none that the client may receive or publish to"))
}

fn unreadable(error: &NotJoined) -> ApiError {
    tracing::error!(%error, "a stream cannot be read for a consumer");
    ApiError::consumer_create("the stream cannot be read")
}
