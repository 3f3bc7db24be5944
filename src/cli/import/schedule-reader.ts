import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { TextDecoder } from 'node:util';
import { SaxesParser, type SaxesTagPlain } from 'saxes';
import { CannotRun } from '../client-program.js';

/** An event as its schedule has it: trimmed text, '' where there is none. */
export interface ScheduleEvent {
  guid: string;
  id: string;
  title: string;
  room: string;
  track: string;
  type: string;
  language: string;
  /** ISO 8601 with an offset in newer files, missing in older ones. */
  date: string;
  /** `HH:MM` on the event's day. */
  start: string;
  duration: string;
  day: ScheduleDay;
}

/** `date` is YYYY-MM-DD; `start`, ISO 8601, is when the day begins, often after the first midnight's events ended. */
export interface ScheduleDay {
  date: string;
  start: string;
}

export interface Schedule {
  acronym: string;
  title: string;
  /** An IANA name such as Europe/Berlin. */
  timeZone: string;
  /** `HH:MM:SS`: what starts earlier belongs to the night before. */
  dayChange: string;
  days: ScheduleDay[];
  events: ScheduleEvent[];
}

/** Far above any conference (the largest have some 2,500 events), far below what would exhaust memory. */
export const LIMITS = {
  events: 10_000,
  days: 1_000,
  depth: 64,
  /** Characters between two tags, and inside one tag. */
  token: 1_000_000,
  /** Characters kept of a text. */
  text: 1_000,
  bytes: 512 * 1024 * 1024,
};

/** A file that cannot be read as a schedule. */
export class NoScheduleError extends CannotRun {}

const CONFERENCE_FIELDS = {
  acronym: 'acronym',
  title: 'title',
  time_zone_name: 'timeZone',
  day_change: 'dayChange',
} as const satisfies Record<string, keyof Schedule>;

const EVENT_FIELDS = ['title', 'room', 'track', 'type', 'language', 'date', 'start', 'duration'] as const;

/**
 * Reads a schedule in the frab (pentabarf) XML format of FOSDEM, the CCC and pretalx:
 * https://github.com/voc/schedule/blob/master/validator/xsd/schedule.xml.xsd
 * @throws NoScheduleError with one sentence that names the file
 */
export async function readSchedule(file: string): Promise<Schedule> {
  try {
    const stats = await stat(file);
    if (stats.isDirectory()) throw new NoScheduleError(`${file} is a folder: give the XML file of a schedule.`);
    return await parseSchedule(createReadStream(file, { highWaterMark: 256 * 1024 }), file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new NoScheduleError(`There is no file ${file}.`);
    if (code === 'EACCES') throw new NoScheduleError(`${file} cannot be read: its permissions forbid it.`);
    throw new NoScheduleError(`${file} cannot be read: ${code}.`);
  }
}

/**
 * Reads a schedule as its bytes arrive; what is kept is bounded by {@link LIMITS}, however much arrives.
 * Entities other than XML's own five are refused, so nothing is ever fetched or expanded.
 * @param name what the error messages call it
 * @throws NoScheduleError
 */
export async function parseSchedule(bytes: AsyncIterable<Uint8Array>, name: string): Promise<Schedule> {
  const parser = new SaxesParser();
  const builder = new ScheduleBuilder(name);
  let lastToken = 0;
  const token =
    <T>(take: (value: T) => void) =>
    (value: T): void => {
      lastToken = parser.position;
      take(value);
    };
  const ignore = token(() => undefined);
  parser.on(
    'opentag',
    token<SaxesTagPlain>((tag) => builder.open(tag)),
  );
  parser.on(
    'closetag',
    token(() => builder.close()),
  );
  parser.on(
    'text',
    token((text: string) => builder.text(text)),
  );
  parser.on(
    'cdata',
    token((text: string) => builder.text(text)),
  );
  // They only mark where a token ends.
  parser.on('comment', ignore);
  parser.on('processinginstruction', ignore);
  parser.on('doctype', ignore);
  parser.on('error', (error) => {
    throw new NoScheduleError(malformed(name, error.message));
  });

  const decoder = new XmlDecoder(name);
  for await (const chunk of bytes) {
    parser.write(decoder.decode(chunk));
    if (parser.position - lastToken > LIMITS.token) {
      throw new NoScheduleError(
        `${name} is no schedule: it has a text or a tag of more than ${LIMITS.token} characters.`,
      );
    }
  }
  parser.write(decoder.end()).close();
  return builder.finish();
}

/** Follows the elements and keeps the few texts that matter. */
class ScheduleBuilder {
  private readonly schedule: Schedule = { acronym: '', title: '', timeZone: '', dayChange: '', days: [], events: [] };
  private readonly path: string[] = [];
  private day: ScheduleDay = { date: '', start: '' };
  private room = '';
  private event: { depth: number; value: ScheduleEvent } | null = null;
  /** The element whose text is being collected. */
  private field: { depth: number; text: string; keep: (text: string) => void } | null = null;

  constructor(private readonly name: string) {}

  open({ name, attributes }: SaxesTagPlain): void {
    const depth = this.path.push(name);
    if (depth === 1 && name !== 'schedule') {
      throw new NoScheduleError(
        `${this.name} is no schedule: its outermost element is <${cut(name)}>, not <schedule>.`,
      );
    }
    if (depth > LIMITS.depth) {
      throw new NoScheduleError(`${this.name} is no schedule: its elements are nested more than ${LIMITS.depth} deep.`);
    }
    if (this.event !== null) {
      if (depth === this.event.depth + 1) this.openEventField(name, this.event.value);
    } else if (name === 'day') {
      this.openDay(attributes);
    } else if (name === 'room') {
      this.room = cut(attributes.name ?? '');
    } else if (name === 'event') {
      this.openEvent(attributes, depth);
    } else if (depth === 3 && this.path[1] === 'conference') {
      this.openConferenceField(name);
    }
  }

  text(text: string): void {
    if (this.field !== null && this.field.text.length <= LIMITS.text) this.field.text += text;
  }

  close(): void {
    const depth = this.path.length;
    const name = this.path.pop();
    if (depth === this.field?.depth) {
      this.field.keep(cut(this.field.text));
      this.field = null;
    } else if (depth === this.event?.depth) {
      this.event.value.room ||= this.room;
      this.schedule.events.push(this.event.value);
      this.event = null;
    } else if (this.event === null && name === 'room') {
      this.room = '';
    } else if (this.event === null && name === 'day') {
      this.day = { date: '', start: '' };
    }
  }

  finish(): Schedule {
    if (this.schedule.events.length > 0) return this.schedule;
    throw new NoScheduleError(`${this.name} is a schedule without any event: there is nothing to import.`);
  }

  private openDay(attributes: Record<string, string>): void {
    if (this.schedule.days.length === LIMITS.days) {
      throw new NoScheduleError(`${this.name} has more than ${LIMITS.days} days: split it.`);
    }
    this.day = { date: cut(attributes.date ?? ''), start: cut(attributes.start ?? '') };
    this.schedule.days.push(this.day);
  }

  private openEvent(attributes: Record<string, string>, depth: number): void {
    if (this.schedule.events.length === LIMITS.events) {
      throw new NoScheduleError(`${this.name} has more than ${LIMITS.events} events: split it.`);
    }
    const [guid, id] = [cut(attributes.guid ?? ''), cut(attributes.id ?? '')];
    const texts = { title: '', room: '', track: '', type: '', language: '', date: '', start: '', duration: '' };
    this.event = { depth, value: { guid, id, ...texts, day: this.day } };
  }

  private openEventField(name: string, event: ScheduleEvent): void {
    const field = EVENT_FIELDS.find((known) => known === name);
    if (field !== undefined) this.collect((text) => (event[field] ||= text));
  }

  private openConferenceField(name: string): void {
    if (!Object.hasOwn(CONFERENCE_FIELDS, name)) return;
    const field = CONFERENCE_FIELDS[name as keyof typeof CONFERENCE_FIELDS];
    this.collect((text) => (this.schedule[field] ||= text));
  }

  private collect(keep: (text: string) => void): void {
    this.field = { depth: this.path.length, text: '', keep };
  }
}

/** Without white space at the ends and in rows, and no longer than {@link LIMITS} allows. */
function cut(text: string): string {
  const tidy = text.replace(/\s+/g, ' ').trim().slice(0, LIMITS.text);
  // Half a surrogate pair would not survive the way to the database and back.
  return tidy.replace(/[\uD800-\uDBFF]$/, '');
}

/** @param message as the parser gives it, `line:column: what.` */
function malformed(name: string, message: string): string {
  const [, line, what = message] = /^(\d+):\d+: (.*?)\.?$/s.exec(message) ?? [];
  const place = line === undefined ? '' : ` in line ${line}`;
  if (what.startsWith('undefined entity')) {
    return `${name} is no schedule${place}: it uses an entity that XML itself does not define, and no other is read.`;
  }
  return `${name} is no schedule: it is not well-formed XML${place}: ${what.slice(0, 200)}.`;
}

const DECLARATION_BYTES = 256;

/** The text of an XML file in the encoding that its byte order mark or its declaration names, else UTF-8. */
class XmlDecoder {
  private decoder: TextDecoder | null = null;
  private head: Uint8Array = new Uint8Array();
  private size = 0;

  constructor(private readonly name: string) {}

  decode(chunk: Uint8Array): string {
    this.size += chunk.length;
    if (this.size > LIMITS.bytes) {
      throw new NoScheduleError(`${this.name} is larger than ${LIMITS.bytes / 1024 / 1024} MB: split it.`);
    }
    if (this.decoder !== null) return this.take(chunk, true);
    this.head = Buffer.concat([this.head, chunk]);
    return this.head.length < DECLARATION_BYTES ? '' : this.take(this.head, true);
  }

  end(): string {
    if (this.size === 0) throw new NoScheduleError(`${this.name} is empty: give the XML file of a schedule.`);
    return this.take(this.decoder === null ? this.head : new Uint8Array(), false);
  }

  private take(bytes: Uint8Array, stream: boolean): string {
    this.decoder ??= createDecoder(this.head, this.name);
    try {
      return this.decoder.decode(bytes, { stream });
    } catch {
      const { encoding } = this.decoder;
      throw new NoScheduleError(
        `${this.name} is no schedule: it is not valid ${encoding}, the encoding that it claims.`,
      );
    }
  }
}

/** https://www.w3.org/TR/xml/#sec-guessing */
function createDecoder(head: Uint8Array, name: string): TextDecoder {
  const encoding = guessEncoding(head);
  try {
    return new TextDecoder(encoding, { fatal: true });
  } catch {
    throw new NoScheduleError(`${name} is in the encoding ${encoding}, which is not known here: save it as UTF-8.`);
  }
}

function guessEncoding(head: Uint8Array): string {
  const [first, second] = head;
  if ((first === 0xff && second === 0xfe) || (first === 0x3c && second === 0)) return 'utf-16le';
  if ((first === 0xfe && second === 0xff) || (first === 0 && second === 0x3c)) return 'utf-16be';
  if (first === 0xef && second === 0xbb) return 'utf-8';
  const declaration = Buffer.from(head.subarray(0, DECLARATION_BYTES)).toString('latin1');
  const [, encoding = 'utf-8'] = /^<\?xml\s[^>]*?\bencoding\s*=\s*["']([\w.:-]+)["']/.exec(declaration) ?? [];
  // Had it been in UTF-16, its declaration could not have been read.
  return /^utf-?16/i.test(encoding) ? 'utf-8' : encoding;
}
