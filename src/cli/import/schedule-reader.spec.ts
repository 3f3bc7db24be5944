import { join } from 'node:path';
import { LIMITS, NoScheduleError, parseSchedule, readSchedule, type Schedule } from './schedule-reader.js';

const EXAMPLE = join(process.cwd(), 'examples', 'schedule.xml');

async function* chunksOf(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    await Promise.resolve();
    yield chunk;
  }
}

const parse = (xml: string | Uint8Array): Promise<Schedule> => parseSchedule(chunksOf(Buffer.from(xml)), 'talks.xml');

const withEvent = (event: string, declaration = ''): string =>
  `${declaration}<schedule><conference><acronym>x1</acronym></conference>` +
  `<day date="2031-05-03"><room name="Hall"><event guid="g1">${event}</event></room></day></schedule>`;

async function complaintOf(reading: Promise<unknown>): Promise<string> {
  const error: unknown = await reading.then(
    () => new Error('no complaint'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof NoScheduleError)) throw error;
  expect(error.message).toMatch(/^[^\n]*[.]$/);
  return error.message;
}

describe('readSchedule', () => {
  it('reads the example', async () => {
    const schedule = await readSchedule(EXAMPLE);
    expect(schedule).toMatchObject({ acronym: 'lanterndays', title: 'Lantern Days', timeZone: 'Europe/Berlin' });
    expect(schedule.days.map((day) => day.date)).toEqual(['2031-05-03', '2031-05-04']);
    expect(schedule.events).toHaveLength(8);
    expect(schedule.events[1]).toEqual({
      guid: '0d3c2f5e-6f0b-4a52-9a39-5b1f0f4a1c02',
      id: '2',
      title: 'Queues & Patience: a fair line for everybody',
      room: 'Great Hall',
      track: 'Systems & Data',
      type: 'lecture',
      language: 'en',
      date: '2031-05-03T10:15:00+02:00',
      start: '10:15',
      duration: '01:00',
      day: { date: '2031-05-03', start: '2031-05-03T09:00:00+02:00' },
    });
    expect(schedule.events[4]).toMatchObject({ guid: '', id: '5', room: 'Workshop', date: '', language: '' });
  });

  it('says that there is no such file', async () => {
    expect(await complaintOf(readSchedule('nowhere/talks.xml'))).toBe('There is no file nowhere/talks.xml.');
  });

  it('says that a folder is no file', async () => {
    expect(await complaintOf(readSchedule('src'))).toBe('src is a folder: give the XML file of a schedule.');
  });
});

describe('parseSchedule', () => {
  it('does not mind how the bytes are cut', async () => {
    const xml = Buffer.from(withEvent('<title>Löten &amp; Lämpchen 💡</title>'));
    const bytes = Array.from(xml, (byte) => Uint8Array.of(byte));
    expect(await parseSchedule(chunksOf(...bytes), 'talks.xml')).toEqual(await parse(xml));
  });

  it('takes text from CDATA and nested markup, and only the event’s own fields', async () => {
    const { events } = await parse(
      withEvent(
        '<links><title>no</title></links><title> A <![CDATA[<b>]]>\n <i>talk</i> </title><title>second</title>',
      ),
    );
    expect(events[0]?.title).toBe('A <b> talk');
  });

  it.each([
    ['UTF-8 with a mark', Buffer.from('\uFEFF' + withEvent('<title>Ü</title>'))],
    [
      'UTF-16 little endian',
      Buffer.from('\uFEFF' + withEvent('<title>Ü</title>', '<?xml version="1.0" encoding="UTF-16"?>'), 'utf16le'),
    ],
    ['UTF-16 big endian', Buffer.from('\uFEFF' + withEvent('<title>Ü</title>'), 'utf16le').swap16()],
    ['UTF-16 without a mark', Buffer.from(withEvent('<title>Ü</title>'), 'utf16le')],
    ['Latin-1', Buffer.from(withEvent('<title>Ü</title>', '<?xml version="1.0" encoding="ISO-8859-1"?>'), 'latin1')],
    ['KOI8-R', Buffer.from(withEvent('<title>\xf1</title>', '<?xml version="1.0" encoding="koi8-r"?>'), 'latin1')],
  ])('reads %s', async (name, bytes) => {
    expect((await parse(bytes)).events[0]?.title).toBe(name === 'KOI8-R' ? 'Я' : 'Ü');
  });

  it.each([
    ['nothing', '', 'is empty'],
    ['blanks', ' \n', 'root element'],
    ['plain text', 'Hello', 'not well-formed'],
    ['JSON', '{"schedule": {}}', 'not well-formed'],
    ['a web page', '<html><body><p>Not found<br></p></body></html>', 'outermost element is <html>'],
    ['another schedule', '<iCalendar><event/></iCalendar>', 'outermost element is <iCalendar>'],
    ['no events', '<schedule><conference/></schedule>', 'without any event'],
    ['a truncated file', withEvent('<title>A</title>').slice(0, -20), 'not well-formed'],
    ['a truncated tag', '<schedule><day da', 'not well-formed'],
    ['a wrong end', '<schedule><day></schedule>', 'in line 1'],
    ['an unknown encoding', '<?xml version="1.0" encoding="x-klingon"?><schedule/>', 'encoding x-klingon'],
    ['a control character', withEvent('<title>\u0001</title>'), 'not well-formed'],
    ['half a surrogate pair', withEvent('<title>&#xD800;</title>'), 'not well-formed'],
    ['deep nesting', withEvent('<a>'.repeat(100)), `more than ${LIMITS.depth} deep`],
    ['an entity of HTML', withEvent('<title>a&nbsp;b</title>'), 'uses an entity'],
    ['a long root', `<${'x'.repeat(5_000)}>`, 'outermost element'],
  ])('refuses %s', async (_, xml, words) => {
    const complaint = await complaintOf(parse(xml));
    expect(complaint).toContain('talks.xml');
    expect(complaint).toContain(words);
    expect(complaint.length).toBeLessThan(1_200);
  });

  it.each([
    ['a zip', Buffer.from('504b0304140000000800', 'hex')],
    ['zeros', Buffer.alloc(10_000)],
    ['noise', Buffer.from(Array.from({ length: 4_096 }, (_, index) => (index * 7_919) % 256))],
    ['Latin-1 that claims to be UTF-8', Buffer.from(withEvent('<title>Ü</title>'), 'latin1')],
    ['UTF-16 of an odd length', Buffer.concat([Buffer.from(withEvent(''), 'utf16le'), Buffer.of(0x20)])],
    ['UTF-8 cut within a character', Buffer.from(withEvent('<title>Ü')).subarray(0, -30)],
  ])('refuses %s', async (_, bytes) => {
    expect(await complaintOf(parse(bytes))).toContain('talks.xml is no schedule');
  });

  it('expands no entities, however many laughs they promise', async () => {
    const laugh = (name: string, before: string): string => `<!ENTITY ${name} "${`&${before};`.repeat(10)}">`;
    const entities = Array.from('bcdefghij', (name, index) => laugh(name, 'abcdefghi'.charAt(index)));
    const xml = withEvent('<title>&j;</title>', `<!DOCTYPE schedule [<!ENTITY a "ha">${entities.join('')}]>`);
    expect(await complaintOf(parse(xml))).toContain('uses an entity');
  });

  it('fetches no entities', async () => {
    const doctype = `<!DOCTYPE schedule SYSTEM "http://127.0.0.1:9/x.dtd" [<!ENTITY file SYSTEM "file://${EXAMPLE}">]>`;
    expect(await complaintOf(parse(withEvent('<title>&file;</title>', doctype)))).toContain('uses an entity');
    expect((await parse(withEvent('<title>A</title>', doctype))).events[0]?.title).toBe('A');
  });

  it('takes no attribute or element for a part of an object', async () => {
    const xml =
      '<schedule><conference><constructor>x</constructor><__proto__>y</__proto__></conference><day __proto__="z">' +
      '<event toString="1"><title>A</title><hasOwnProperty>b</hasOwnProperty></event></day></schedule>';
    const { events } = await parse(xml);
    expect(events[0]).toMatchObject({ title: 'A', guid: '', day: { date: '' } });
  });

  it('keeps only the beginning of a long text', async () => {
    const { events } = await parse(withEvent(`<title>${'x'.repeat(100_000)}</title>`));
    expect(events[0]?.title).toHaveLength(LIMITS.text);
  });

  describe('of 100 MB', () => {
    const MEGABYTE = 1024 * 1024;

    async function* flood(start: string, repeated: string, megabytes = 100): AsyncGenerator<Uint8Array> {
      yield Buffer.from(start);
      const chunk = Buffer.from(repeated.repeat(Math.ceil(MEGABYTE / repeated.length)));
      for (let index = 0; index < megabytes; index++) {
        await Promise.resolve();
        yield chunk;
      }
    }

    const event = '<event id="1"><title>A</title></event>';

    it.each([
      ['of events', '<schedule><day>', event, 'more than 10000 events'],
      ['of days', '<schedule>', '<day/>', 'more than 1000 days'],
      ['of one text', '<schedule>', 'ha ', 'a text or a tag of more than'],
      ['of one attribute', '<schedule version="', 'ha ', 'a text or a tag of more than'],
      ['of attributes', '<schedule', ' a="b"', 'a tag of more than'],
      ['of one comment', '<schedule><!--', 'ha ', 'a text or a tag of more than'],
      ['of a document type', '<!DOCTYPE schedule [', '<!ENTITY a "b">', 'a text or a tag of more than'],
      ['of one name', '<', 'ha', 'a text or a tag of more than'],
      ['of one entity', '<schedule>&', 'ha', 'a text or a tag of more than'],
      ['of nesting', '<schedule>', '<a>', 'deep'],
    ])('%s it refuses early', async (_, start, repeated, words) => {
      expect(await complaintOf(parseSchedule(flood(start, repeated), 'talks.xml'))).toContain(words);
    });
  });
});
