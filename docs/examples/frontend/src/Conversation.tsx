// One conversation: its messages, who answers, and the composer.

import type { ReactNode } from "react";
import { Composer } from "./Composer.tsx";
import { useThread } from "dmrelay-client/react";
import { nameOf } from "./Inbox.tsx";
import { ProblemNote } from "./ProblemNote.tsx";
import type { Attachment, Message } from "dmrelay-client";

export function Conversation({ chatId }: { chatId: string }): ReactNode {
  const { chat, messages, thinking, takeOver, release, error } = useThread(chatId);
  if (!chat) return messages.error ? <ProblemNote error={messages.error} /> : <p>Loading …</p>;
  // Newest first from the API, newest last on the page.
  const shown = messages.items.toReversed();
  return (
    <section aria-label={nameOf(chat)}>
      <header>
        <h2>{nameOf(chat)}</h2>
        {chat.mode === "bot"
          ? <button onClick={() => takeOver()}>Take over</button>
          : <button onClick={release}>Return to the bot</button>}
        {chat.mode !== "bot" && chat.resumeAt && (
          <p>The bot resumes at {new Date(chat.resumeAt).toLocaleString()}.</p>
        )}
        <ProblemNote error={error} />
      </header>
      {messages.hasMore && <button disabled={messages.loading} onClick={messages.loadMore}>Older messages</button>}
      <ol>{shown.map((message) => <Bubble key={message.messageId} message={message} />)}</ol>
      {thinking && <p>The bot is writing …</p>}
      <ProblemNote error={messages.error} />
      <Composer chat={chat} onSent={messages.refresh} />
    </section>
  );
}

function Bubble({ message }: { message: Message }): ReactNode {
  const { direction, author, actor, text, kind, status, at, error } = message;
  return (
    <li data-direction={direction}>
      <small>
        {direction === "inbound" ? "Customer" : (actor ?? author)} <time dateTime={at}>{new Date(at).toLocaleTimeString()}</time>
        {direction === "outbound" && <> {status}</>}
      </small>
      {/* React shows text as text. Never insert message text into the page as HTML. */}
      <p style={{ whiteSpace: "pre-wrap" }}>{text ?? `[${kind}]`}</p>
      {message.attachments?.map((attachment, index) => <AttachmentLink key={index} attachment={attachment} />)}
      {error && <small role="alert">{error.message ?? error.class}</small>}
    </li>
  );
}

/** A link, not an image: Meta's URLs expire, and loading them tells Meta who looks. */
function AttachmentLink({ attachment }: { attachment: Attachment }): ReactNode {
  const { type, url, title } = attachment;
  if (!url?.startsWith("https://")) return <p>[{title ?? type}]</p>;
  return <p><a href={url} target="_blank" rel="noopener noreferrer">{title ?? type}</a></p>;
}
