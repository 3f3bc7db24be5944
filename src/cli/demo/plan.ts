import { type Conference } from '../api-client.js';
import { Random } from './random.js';

/** What an attendee does with an offer. */
export type OnOffer = 'confirm' | 'decline' | 'miss';

export interface AttendeePlan {
  /** Interests: topics of conferences, 1 to 50. */
  topics: string[];
  /** Names of the conferences to book, in order; no two overlap. */
  wishes: string[];
  /** A booking tried in spite of the one for `because`, which it overlaps or repeats. */
  stubborn: { name: string; because: string } | null;
  /** From 0 to 1: the most fickle of those with a slot give it back. */
  fickleness: number;
  /** How long after the bookings the fickle cancel. */
  cancelAfterMs: number;
  onOffer: OnOffer;
  /** How long the attendee thinks about an offer. */
  reactionMs: number;
}

export interface RushPlan {
  attendees: AttendeePlan[];
  /** Names of the conferences that more want than they have slots. */
  popular: string[];
}

interface Slot {
  conference: Conference;
  startMs: number;
  endMs: number;
}

const MOST_POPULAR = 6;
/** Demand for a popular conference, as a multiple of its free slots, and at least so many more than those. */
const CROWD_FACTOR = 1.6;
const CROWD_SURPLUS = 20;
const MOST_TOPICS = 50;
const MOST_OTHER_WISHES = 3;
/** Of the conferences that fit, so many are looked at: enough to find some, however many there are. */
const LOOKED_AT = 20;
const STUBBORN_SHARE = 0.15;
/** The cancels are spread over this time, so that offers come one after the other and in bunches. */
const CANCELS_WITHIN_MS = 3000;

/**
 * Plans a rush: the same conferences, number and seed give the same plan.
 *
 * A conference can be crowded where it has fewer free slots than there are attendees. Popular ones do not overlap, so that
 * an attendee may want all of them, and each gets a crowd larger than its free slots: by CROWD_FACTOR, and where there are
 * too few attendees for that, all of them.
 */
export function planRush(conferences: readonly Conference[], attendees: number, seed: number): RushPlan {
  const random = new Random(seed);
  const slots = conferences.map((conference) => ({
    conference,
    startMs: Date.parse(conference.start),
    endMs: Date.parse(conference.end),
  }));
  const popular = choosePopular(slots, attendees, random);
  const crowds = Array.from({ length: attendees }, (): Slot[] => []);
  for (const slot of popular) {
    const crowd = crowdFor(slot.conference.available_slots, attendees);
    for (const wishes of random.shuffled(crowds).slice(0, crowd)) wishes.push(slot);
  }
  const catalog = new Catalog(slots, popular);
  return {
    attendees: crowds.map((wishes) => planAttendee(wishes, catalog, random)),
    popular: popular.map(({ conference }) => conference.name),
  };
}

/** How many attendees want a popular conference with so many free slots. */
export function crowdFor(freeSlots: number, attendees: number): number {
  return Math.min(attendees, Math.max(Math.ceil(freeSlots * CROWD_FACTOR), freeSlots + CROWD_SURPLUS));
}

/** Whether the two share a moment: start inclusive, end exclusive. */
export function doOverlap(a: { startMs: number; endMs: number }, b: { startMs: number; endMs: number }): boolean {
  return a.startMs < b.endMs && b.startMs < a.endMs;
}

/** What an attendee may choose from, besides the popular. */
class Catalog {
  readonly topics: string[];
  private readonly byTopic = new Map<string, Slot[]>();

  constructor(
    readonly all: readonly Slot[],
    popular: readonly Slot[],
  ) {
    const names = new Set(popular);
    for (const slot of all) {
      for (const topic of slot.conference.topics) {
        const fitting = this.byTopic.get(topic) ?? [];
        if (!names.has(slot)) fitting.push(slot);
        this.byTopic.set(topic, fitting);
      }
    }
    this.topics = [...this.byTopic.keys()];
  }

  fitting(topics: readonly string[]): Slot[] {
    return topics.flatMap((topic) => this.byTopic.get(topic) ?? []);
  }
}

function choosePopular(slots: readonly Slot[], attendees: number, random: Random): Slot[] {
  const crowdable = random.shuffled(slots).filter(({ conference }) => conference.available_slots < attendees);
  // Where a line stands already, whoever left it long ago comes first: the rush would only watch.
  const isFresh = ({ conference }: Slot): boolean => conference.available_slots > 0 && conference.waitlisted === 0;
  const popular: Slot[] = [];
  for (const slot of [...crowdable.filter(isFresh), ...crowdable.filter((other) => !isFresh(other))]) {
    if (popular.length === MOST_POPULAR) break;
    if (!popular.some((chosen) => doOverlap(chosen, slot))) popular.push(slot);
  }
  return popular;
}

function planAttendee(popular: readonly Slot[], catalog: Catalog, random: Random): AttendeePlan {
  const topics = new Set<string>();
  for (const { conference } of popular) addTopic(topics, random.pick(conference.topics));
  for (let more = random.integer(1, 3); more > 0; more -= 1) addTopic(topics, random.pick(catalog.topics));
  const wishes = [...popular];
  const fitting = catalog.fitting([...topics]);
  const wanted = wishes.length + random.integer(1, MOST_OTHER_WISHES);
  for (let looked = 0; looked < LOOKED_AT && wishes.length < wanted; looked += 1) {
    const slot = random.pick(fitting);
    if (slot !== undefined && !wishes.some((wish) => doOverlap(wish, slot))) wishes.push(slot);
  }
  const ordered = random.shuffled(wishes);
  return {
    topics: [...topics].slice(0, MOST_TOPICS),
    wishes: ordered.map(({ conference }) => conference.name),
    stubborn: random.next() < STUBBORN_SHARE ? planStubborn(ordered, catalog, random) : null,
    fickleness: random.next(),
    cancelAfterMs: random.integer(0, CANCELS_WITHIN_MS),
    onOffer: chooseOnOffer(random.next()),
    reactionMs: random.integer(50, 600),
  };
}

function addTopic(topics: Set<string>, topic: string | undefined): void {
  if (topic !== undefined) topics.add(topic);
}

function planStubborn(wishes: readonly Slot[], catalog: Catalog, random: Random): AttendeePlan['stubborn'] {
  const because = random.pick(wishes);
  if (because === undefined) return null;
  for (let looked = 0; looked < LOOKED_AT; looked += 1) {
    const slot = random.pick(catalog.all);
    if (slot !== undefined && doOverlap(slot, because)) {
      return { name: slot.conference.name, because: because.conference.name };
    }
  }
  return { name: because.conference.name, because: because.conference.name };
}

function chooseOnOffer(chance: number): OnOffer {
  if (chance < 0.65) return 'confirm';
  return chance < 0.8 ? 'decline' : 'miss';
}
