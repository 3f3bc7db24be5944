import { setTimeout as pause } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { Conference, ConferenceTopic } from '../../conferences/conference.entity.js';
import { isTransient, violatedConstraint } from '../../database/failures.js';
import { TimerPublisher } from '../../messaging/timer-publisher.js';
import { CONFERENCE_STARTS } from '../../messaging/timers.js';
import { CannotRun } from '../client-program.js';
import { type Draft, type Known, planImport, type Plan, type PlannedConference } from './plan.js';

/** 7 parameters each, of the 65,535 that a statement may have. */
const ROWS_PER_STATEMENT = 1_000;
const ATTEMPTS = 5;
const TIMERS_TIMEOUT_MS = 5_000;

/** Of a name or a key that another writer took between the look and the insert. */
const UNIQUE = new Set(['conferences_name_key', 'conferences_source_key_key']);

export interface ImportReport extends Plan {
  /** `late`: the broker did not take all start timers in time, and the sweep makes up for the rest. */
  timers: 'set' | 'late' | 'none';
}

interface Written {
  plan: Plan;
  starts: { conferenceId: number; dueAt: number }[];
  now: number;
}

/** Writes what a schedule has into the database: all of it that can be, in one transaction, or nothing. */
@Injectable()
export class ConferenceImporter {
  constructor(
    @InjectRepository(Conference) private readonly conferences: Repository<Conference>,
    @InjectRepository(ConferenceTopic) private readonly topics: Repository<ConferenceTopic>,
    private readonly publisher: TimerPublisher,
  ) {}

  /**
   * Creates the conferences that do not exist yet, each with `slots` free slots, and sets their start timers.
   * @throws CannotRun where other writers took the same names again and again
   */
  async import(drafts: readonly Draft[], slots: number): Promise<ImportReport> {
    const { plan, starts, now } = await this.write(drafts, slots);
    return { ...plan, timers: await this.setTimers(starts, now) };
  }

  private async write(drafts: readonly Draft[], slots: number): Promise<Written> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      try {
        return await this.writeOnce(drafts, slots);
      } catch (error) {
        if (!UNIQUE.has(violatedConstraint(error) ?? '') && !isTransient(error)) throw error;
      }
    }
    throw new CannotRun('Others were creating the same conferences at the same time: run the import again.');
  }

  private writeOnce(drafts: readonly Draft[], slots: number): Promise<Written> {
    return this.conferences.manager.transaction(async (manager) => {
      const conferences = manager.withRepository(this.conferences);
      const known = await findKnown(conferences, drafts);
      const plan = planImport(drafts, known);
      const ids = await insertConferences(conferences, plan.conferences, slots);
      const topics = plan.conferences.flatMap(({ sourceKey, topics }) =>
        topics.map((topic) => ({ conferenceId: idOf(ids, sourceKey), topic })),
      );
      for (const rows of chunksOf(topics)) await manager.withRepository(this.topics).insert(rows);
      const starts = plan.conferences.map(({ sourceKey, startsAt }) => ({
        conferenceId: idOf(ids, sourceKey),
        dueAt: startsAt.getTime(),
      }));
      return { plan, starts, now: known.now };
    });
  }

  private async setTimers(starts: Written['starts'], now: number): Promise<ImportReport['timers']> {
    if (this.publisher.state === 'none') return 'none';
    const giveUpAt = Date.now() + TIMERS_TIMEOUT_MS;
    this.publisher.schedule(
      starts.map((start) => ({ pattern: CONFERENCE_STARTS, ...start })),
      now,
    );
    for (;;) {
      const { owed, inFlight, dropped } = this.publisher.counts;
      if (owed + inFlight === 0) return dropped === 0 ? 'set' : 'late';
      if (Date.now() > giveUpAt) return 'late';
      await pause(20);
    }
  }
}

async function findKnown(conferences: Repository<Conference>, drafts: readonly Draft[]): Promise<Known> {
  const [clock] = await conferences.query<{ now: Date }[]>('SELECT clock_timestamp() AS now');
  if (clock === undefined) throw new Error('The database does not tell the time');
  const found = await conferences
    .createQueryBuilder('conference')
    .select(['conference.name', 'conference.sourceKey'])
    .where('conference.sourceKey = ANY(:keys) OR conference.name = ANY(:names)', {
      keys: drafts.map(({ sourceKey }) => sourceKey),
      names: drafts.flatMap(({ names }) => names),
    })
    .getMany();
  return {
    now: clock.now.getTime(),
    names: new Set(found.map(({ name }) => name)),
    sourceKeys: new Set(found.map(({ sourceKey }) => sourceKey).filter((key) => key !== null)),
  };
}

/** The ids of the new rows by their source keys. */
async function insertConferences(
  conferences: Repository<Conference>,
  planned: readonly PlannedConference[],
  slots: number,
): Promise<Map<string, number>> {
  const ids = new Map<string, number>();
  for (const rows of chunksOf(planned)) {
    const inserted = await conferences
      .createQueryBuilder()
      .insert()
      .values(rows.map(({ topics: _, ...row }) => ({ ...row, totalSlots: slots, availableSlots: slots })))
      .returning(['conferenceId', 'sourceKey'])
      .updateEntity(false)
      .execute();
    for (const row of inserted.raw as { conference_id: number; source_key: string }[])
      ids.set(row.source_key, row.conference_id);
  }
  return ids;
}

function idOf(ids: ReadonlyMap<string, number>, sourceKey: string): number {
  const id = ids.get(sourceKey);
  if (id === undefined) throw new Error(`No id came back for ${sourceKey}`);
  return id;
}

function chunksOf<T>(rows: readonly T[]): T[][] {
  const count = Math.ceil(rows.length / ROWS_PER_STATEMENT);
  return Array.from({ length: count }, (_, index) =>
    rows.slice(index * ROWS_PER_STATEMENT, (index + 1) * ROWS_PER_STATEMENT),
  );
}
