import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, Repository, type SelectQueryBuilder } from 'typeorm';
import { Conference } from '../conferences/conference.entity.js';
import { User } from '../users/user.entity.js';
import { type Command, isTimer } from './model.js';
import { CONFERENCES_OF_BOOKINGS } from './statements.js';

/** A conference whose lock another transaction holds. */
export interface BusyConference {
  conferenceId: number;
  name: string;
}

/** Where a command belongs: a conference that is now locked, one that is busy, or none that exists. */
export type Place = Conference | (BusyConference & { busy: true }) | null;

interface BelongingRow {
  booking_id: string;
  conference_id: number;
}

/** What a batch could lock. */
export interface Locked {
  /** In the order of the commands. */
  places: Place[];
  /** In the order of the commands: what a command has to wait for; null: nothing. */
  obstacles: (BusyConference | 'busy user' | null)[];
  userIds: string[];
}

/** The locks of a batch: conferences first, then users, each in one order. They are TypeORM's pessimistic locks. */
@Injectable()
export class SeatingLocks {
  constructor(
    @InjectRepository(Conference) private readonly conferences: Repository<Conference>,
    @InjectRepository(User) private readonly users: Repository<User>,
  ) {}

  /** Locks a conference, and waits for whoever has it. Only before anything else is locked. */
  async wait(manager: EntityManager, conferenceId: number): Promise<void> {
    await manager.withRepository(this.conferences).findOne({
      select: { conferenceId: true },
      where: { conferenceId },
      lock: { mode: 'for_no_key_update' },
    });
  }

  /** Locks all that these commands need and that is free; what is busy is passed over, and so is whoever is in `passOver`. */
  async lock(
    manager: EntityManager,
    commands: readonly Command[],
    passOver: readonly BusyConference[],
  ): Promise<Locked> {
    const places = await this.locate(manager, commands, passOver);
    const users = await this.lockUsers(
      manager,
      commands.flatMap((command, index) => (command.kind === 'book' && !isBusy(places[index]) ? [command.userId] : [])),
    );
    const obstacles = commands.map((command, index) => {
      const place = places[index];
      if (isBusy(place)) return place;
      return command.kind === 'book' && users.busy.has(command.userId) ? 'busy user' : null;
    });
    return { places, obstacles, userIds: users.locked };
  }

  /** Where each command belongs: a conference that is now locked, one that is busy, or none. */
  private async locate(
    manager: EntityManager,
    commands: readonly Command[],
    passOver: readonly BusyConference[],
  ): Promise<Place[]> {
    const bookingIds = commands.flatMap((command) => ('bookingId' in command ? [command.bookingId] : []));
    // A booking's conference and user never change: they may be read before anything is locked.
    const conferenceOf = new Map<number, number>();
    if (bookingIds.length > 0) {
      const rows = await manager.query<BelongingRow[]>(CONFERENCES_OF_BOOKINGS, [bookingIds]);
      for (const row of rows) conferenceOf.set(Number(row.booking_id), row.conference_id);
    }
    const names = new Set(commands.flatMap((command) => (command.kind === 'book' ? [command.conferenceName] : [])));
    const ids = new Set(commands.flatMap((command) => (isTimer(command) ? [command.conferenceId] : [])));
    for (const id of conferenceOf.values()) ids.add(id);

    const byId = new Map<number, Place>();
    const byName = new Map<string, Place>();
    const place = (found: Conference | (BusyConference & { busy: true })): void => {
      byId.set(found.conferenceId, found);
      byName.set(found.name, found);
    };
    const missing = (): [number[], string[]] => [
      [...ids].filter((id) => !byId.has(id)),
      [...names].filter((name) => !byName.has(name)),
    ];
    for (const { conferenceId, name } of passOver) place({ conferenceId, name, busy: true });
    for (const conference of await this.lockFree(manager, ...missing())) place(conference);
    for (const { conferenceId, name } of await this.find(manager, ...missing()))
      place({ conferenceId, name, busy: true });
    return commands.map((command) => {
      if (command.kind === 'book') return byName.get(command.conferenceName) ?? null;
      const conferenceId = isTimer(command) ? command.conferenceId : conferenceOf.get(command.bookingId);
      return conferenceId === undefined ? null : (byId.get(conferenceId) ?? null);
    });
  }

  /** Locks what is free of these conferences; the others are passed over. */
  private lockFree(manager: EntityManager, ids: number[], names: string[]): Promise<Conference[]> {
    if (ids.length + names.length === 0) return Promise.resolve([]);
    return manager
      .withRepository(this.conferences)
      .createQueryBuilder('conference')
      .setLock('for_no_key_update')
      .setOnLocked('skip_locked')
      .where('conference.conferenceId = ANY(:ids)', { ids })
      .orWhere('conference.name = ANY(:names)', { names })
      .orderBy('conference.conferenceId')
      .getMany();
  }

  private find(manager: EntityManager, ids: number[], names: string[]): Promise<Conference[]> {
    if (ids.length + names.length === 0) return Promise.resolve([]);
    return manager
      .withRepository(this.conferences)
      .createQueryBuilder('conference')
      .select(['conference.conferenceId', 'conference.name'])
      .where('conference.conferenceId = ANY(:ids)', { ids })
      .orWhere('conference.name = ANY(:names)', { names })
      .getMany();
  }

  /** Locks what is free of these users. Those who are there and not locked are busy; others do not exist. */
  private async lockUsers(
    manager: EntityManager,
    wanted: string[],
  ): Promise<{ locked: string[]; busy: ReadonlySet<string> }> {
    const among = (userIds: string[]): SelectQueryBuilder<User> =>
      manager
        .withRepository(this.users)
        .createQueryBuilder('user')
        .select('user.userId')
        .where('user.userId = ANY(:userIds)', { userIds });
    const userIds = [...new Set(wanted)];
    if (userIds.length === 0) return { locked: [], busy: new Set() };
    const free = await among(userIds)
      .setLock('for_no_key_update')
      .setOnLocked('skip_locked')
      .orderBy('user.userId')
      .getMany();
    const locked = new Set(free.map(({ userId }) => userId));
    const missing = userIds.filter((userId) => !locked.has(userId));
    const busy = missing.length === 0 ? [] : await among(missing).getMany();
    return { locked: [...locked], busy: new Set(busy.map(({ userId }) => userId)) };
  }
}

function isBusy(place: Place | undefined): place is BusyConference & { busy: true } {
  return place !== null && place !== undefined && 'busy' in place;
}
