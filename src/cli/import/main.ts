import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DataSource } from 'typeorm';
import { loadEnvironment } from '../../config/load.js';
import { CannotRun, runProgram } from '../client-program.js';
import { openDatabase, toSentence } from '../open-database.js';
import { ConferenceImporter, type ImportReport } from './conference-importer.js';
import { ImportModule } from './import.module.js';
import { type ImportOptions, parseImportOptions, USAGE } from './import-options.js';
import { ALREADY_IMPORTED, draftConferences, type Draft } from './plan.js';
import { readSchedule } from './schedule-reader.js';

async function importSchedule({ file, startsOn, slots }: ImportOptions): Promise<number> {
  const environment = loadEnvironment('command');
  const drafts = draftConferences(await readSchedule(file), startsOn);
  const database = await openDatabase(environment, { log: console.error, migrate: environment.database.runMigrations });
  try {
    Logger.overrideLogger(['error', 'fatal']);
    const settings = { ...environment, database: { ...environment.database, url: database.url } };
    const app = await NestFactory.createApplicationContext(ImportModule.with(settings));
    try {
      await app.get(DataSource).initialize();
      tell(await app.get(ConferenceImporter).import(drafts, slots), drafts);
      return 0;
    } catch (error) {
      throw toSentence(error, database);
    } finally {
      await app.close();
    }
  } finally {
    await database.close();
  }
}

/** @throws CannotRun where nothing could be imported and nothing had been */
function tell({ conferences, skipped, timers }: ImportReport, drafts: readonly Draft[]): void {
  for (const { title, reason } of skipped) console.log(`skipped "${title}": ${reason}`);
  if (conferences.length === 0 && skipped.every(({ reason }) => reason !== ALREADY_IMPORTED)) {
    throw new CannotRun(
      `None of the ${drafts.length} events can be imported: correct what is said of each above, ` +
        'or move a schedule of the past with --starts-on YYYY-MM-DD.',
    );
  }
  if (timers === 'late') {
    console.log('The broker does not take the start timers: the sweep of a running service keeps time.');
  }
  console.log(`imported ${conferences.length} of ${drafts.length}, skipped ${skipped.length}`);
}

await runProgram({ usage: USAGE, parse: parseImportOptions, run: importSchedule });
