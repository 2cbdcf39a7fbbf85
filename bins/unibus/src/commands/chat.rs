//! `unibus chat ROOM`

use super::message_view::{MessageView, Rejected};
use super::source::Source;
use super::words;
use crate::arguments::Global;
use crate::chat::{self, Above, Typed};
use crate::output::{Output, Show as _, Style, block};
use crate::session;
use anyhow::Result;
use bus_client::{Event, History, HistoryFrom, Message, MessageErrorKind, OwnMessages, Room};
use room_protocol::RoomId;
use std::collections::BTreeMap;

/// Messages that a chat begins with where the room keeps some.
const USUAL_HISTORY: u64 = 20;

/// Which room.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// Begin with the last N messages that the room keeps; 20 if left out.
    #[arg(long, value_name = "N")]
    history: Option<u64>,
}

impl Arguments {
    /// What is asked for has to be there; what is usual only where it is.
    fn start(&self, room: &Room) -> Option<HistoryFrom> {
        let usual = (room.state().history() != History::None).then_some(USUAL_HISTORY);
        self.history.or(usual).map(HistoryFrom::Last)
    }
}

/// Runs the command.
pub(crate) async fn run(arguments: Arguments, global: Global, output: &Output) -> Result<()> {
    session::connected(global, output, async |session| {
        let room = session.bus.room(&arguments.room).await?;
        let mut events = session.bus.events();
        // What was typed here is on the screen already.
        let mut messages = Source::open(&room, arguments.start(&room), OwnMessages::Skip).await?;
        let me = session.bus.me().await?.user;
        let (mut typing, above) = chat::open(format!("{}> ", me.handle))?;
        let mut talk = Conversation::new(&room, above, output);
        talk.welcome()?;
        loop {
            tokio::select! {
                typed = typing.next() => match typed {
                    Some(typed) => talk.typed(typed).await?,
                    None => break,
                },
                message = messages.next() => match message? {
                    Some(Ok(message)) => talk.message(&message)?,
                    Some(Err(error)) if *error.kind() == MessageErrorKind::RoomLost => {}
                    Some(Err(error)) => talk.line(&Rejected::new(&talk.subject, &error).text(output.paint()))?,
                    None => {
                        talk.remark("You can no longer read here. Press Enter to leave.")?;
                        typing.last_line().await;
                        break;
                    }
                },
                event = events.next() => match event {
                    Some(event) => talk.event(&event)?,
                    None => break,
                },
                _ = tokio::signal::ctrl_c() => break,
            }
        }
        typing.close();
        Ok(())
    })
    .await
}

/// Where messages are kept, what was said is stored when this returns, or the error says why not.
async fn say(room: &Room, text: String) -> Result<(), bus_client::Error> {
    match room.state().history() {
        History::None => room.publish(text).await.map(drop),
        History::Shared => room.publish_stored(text).await.map(drop),
    }
}

/// One person's view of a room while it is open.
struct Conversation<'a> {
    room: &'a Room,
    subject: String,
    above: Above,
    output: &'a Output,
    /// Handles of the members, to tell who came and who went.
    members: BTreeMap<String, &'static str>,
}

impl<'a> Conversation<'a> {
    fn new(room: &'a Room, above: Above, output: &'a Output) -> Self {
        let subject = room.subject().to_string();
        Self { room, subject, above, output, members: members(room) }
    }

    fn line(&mut self, line: &str) -> Result<()> {
        self.above.print(line)
    }

    fn remark(&mut self, text: &str) -> Result<()> {
        let text = self.output.paint().paint(Style::Dim, block(text, "  "));
        self.line(&text)
    }

    fn alarm(&mut self, text: &str) -> Result<()> {
        let text = self.output.paint().paint(Style::Red, block(text, "  "));
        self.line(&text)
    }

    fn welcome(&mut self) -> Result<()> {
        self.remark(&format!("{} — {}. /who, /help, /quit", self.subject, words::protection(self.room)))?;
        self.who()
    }

    fn who(&mut self) -> Result<()> {
        let who: Vec<String> =
            self.members.iter().map(|(handle, role)| format!("{handle} ({role})")).collect();
        self.remark(&format!("Members: {}", who.join(", ")))
    }

    async fn typed(&mut self, typed: Typed) -> Result<()> {
        match typed {
            Typed::Who => self.who(),
            Typed::Help => self.remark("/who lists the members, /quit leaves, //text says /text."),
            Typed::Unknown(word) => {
                self.remark(&format!("/{word} means nothing here; /help lists what does."))
            }
            Typed::Say(text) => match say(self.room, text).await {
                Ok(()) => Ok(()),
                Err(error) => self.alarm(&format!("not sent: {error}")),
            },
        }
    }

    fn message(&mut self, message: &Message) -> Result<()> {
        self.line(&MessageView::new(&self.subject, message).text(self.output.paint()))
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Disconnected => self.remark("The connection is gone; trying again …"),
            Event::Reconnected => self.remark("Connected again."),
            // Where messages are kept, those that are missing follow.
            Event::Gap(_) if self.room.state().history() == History::None => {
                self.remark("Messages may be missing here.")
            }
            Event::LogAdvanced { room, .. } if self.concerns(room) => self.members_changed(),
            Event::EpochChanged { room, epoch } if self.concerns(room) => {
                self.remark(&format!("The room has a new key (number {epoch})."))
            }
            Event::RoomFrozen { room, frozen: true } if self.concerns(room) => {
                self.alarm("An admin of the bus has frozen the room: nobody can write.")
            }
            Event::RoomFrozen { room, frozen: false } if self.concerns(room) => {
                self.remark("The room is no longer frozen.")
            }
            Event::RolledBack { room, .. } if self.concerns(room) => {
                self.alarm("The bus offers an older membership log than before. Nothing is sent any more.")
            }
            Event::Forked { room, .. } if self.concerns(room) => {
                self.alarm("Somebody has seen another membership log than you: do not trust this bus.")
            }
            Event::InvalidLog { room, violation } if self.concerns(room) => {
                self.alarm(&format!("The bus offers a membership log that breaks the rules: {violation}"))
            }
            Event::HandleConflict { room, handle, .. } if self.concerns(room) => {
                self.alarm(&format!("{handle} is somebody else here than the {handle} you know."))
            }
            // A subscription that was taken away shows as the end of the messages.
            Event::Refused { detail } if detail.contains("Violation for Subscription") => Ok(()),
            Event::Refused { detail } => self.alarm(&format!("The bus refused: {detail}")),
            Event::Revoked => self.alarm("You have been revoked on this bus."),
            _ => Ok(()),
        }
    }

    fn concerns(&self, room: &RoomId) -> bool {
        *room == self.room.id()
    }

    fn members_changed(&mut self) -> Result<()> {
        let before = std::mem::replace(&mut self.members, members(self.room));
        let now = self.members.clone();
        for handle in now.keys().filter(|handle| !before.contains_key(*handle)) {
            self.remark(&format!("{handle} is now a member."))?;
        }
        for handle in before.keys().filter(|handle| !now.contains_key(*handle)) {
            self.remark(&format!("{handle} is no longer a member."))?;
        }
        Ok(())
    }
}

fn members(room: &Room) -> BTreeMap<String, &'static str> {
    let state = room.state();
    state.members().map(|member| (member.handle.to_string(), words::room_role(member.role))).collect()
}
