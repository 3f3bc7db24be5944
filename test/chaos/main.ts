import { setTimeout as pause } from 'node:timers/promises';
import { auditDatabase, type Finding } from '../../src/cli/audit/audit-database.js';
import { runProgram } from '../../src/cli/client-program.js';
import { type ChaosOptions, parseChaosArguments, USAGE } from './arguments.js';
import { Crowd } from './clients.js';
import { type Injected, injectAll } from './faults.js';
import { Ground, SWEEP_MS, WINDOW_MS } from './ground.js';
import { readHistory, type Step } from './history.js';
import { Journal } from './journal.js';
import { planFaults } from './plan.js';
import { renderFindings, renderInjected, renderLoad, renderPlan } from './report.js';
import { lostMs, type Stall, StallWatch } from './stall-watch.js';
import { GRACE_MS, judge } from './verdict.js';

/** After the last fault's grace the load goes on for so long: now nothing is an excuse. */
const CALM_MS = 3_000;
const LATE_SECONDS = (SWEEP_MS + 1_000) / 1_000;
/** What would be overdue is so for a moment more than it may be. */
const MARGIN_MS = 500;
/** Of what the instances wrote, so much is shown when a rule is broken. */
const OUTPUT_SHOWN = 4_000;

const begunAt = performance.now();

function say(text: string): void {
  console.log(`${((performance.now() - begunAt) / 1_000).toFixed(1).padStart(6)} s  ${text}`);
}

async function chaos(options: ChaosOptions): Promise<number> {
  const { seed, seconds } = options;
  const plan = planFaults(options);
  console.log(`${plan.length} faults in ${seconds} s, seed ${seed}\n${renderPlan(plan)}`);
  say('starting PostgreSQL, RabbitMQ and five instances …');
  const ground = await Ground.open(say);
  const endOnSignal = (signal: NodeJS.Signals): void => {
    void ground.close().finally(() => process.kill(process.pid, signal));
  };
  process.once('SIGINT', endOnSignal).once('SIGTERM', endOnSignal);
  try {
    ground.startInstances();
    await ground.whenWhole();
    const { findings, summary } = await play(ground, options);
    console.log(`${summary}\n${renderFindings(findings)}`);
    const broken = findings.filter(({ total }) => total > 0).length;
    if (broken === 0) {
      console.log(`${plan.length} faults, ${findings.length} rules hold; seed ${seed}`);
      return 0;
    }
    showOutputs(ground);
    const again = `npm run chaos -- --seconds ${seconds} --faults ${options.faults} --seed ${seed}`;
    console.log(`${broken} of ${findings.length} rules are broken; the same plan again: ${again}`);
    return 1;
  } catch (error) {
    showOutputs(ground);
    console.log(`It could not be played to its end; seed ${seed}`);
    throw error;
  } finally {
    await ground.close();
    process.off('SIGINT', endOnSignal).off('SIGTERM', endOnSignal);
  }
}

function showOutputs({ instances }: Ground): void {
  for (const { name, output } of instances.values()) {
    console.log(`-- what ${name} wrote last\n${output.slice(-OUTPUT_SHOWN)}`);
  }
}

async function play(ground: Ground, options: ChaosOptions): Promise<{ findings: Finding[]; summary: string }> {
  const journal = new Journal();
  const crowd = new Crowd(ground, journal, options);
  await crowd.arrive();
  const watch = new StallWatch();
  say('the load begins');
  const load = crowd.play();
  const [faults] = await Promise.all([injectAll(ground, planFaults(options), tell), pause(options.seconds * 1_000)]);
  await ground.whenWhole();
  const settledAt = Date.now();
  say('the last fault is over, and everything is whole again; the load goes on');
  await pause(GRACE_MS + CALM_MS);
  crowd.leave();
  await load;
  // While people come and go, what one timer missed the next one makes up for; now only the sweep does.
  const lostAt = Date.now();
  say(`the load is over, and ${await ground.timers.purge()} timers are lost once more`);
  await pause(WINDOW_MS + LATE_SECONDS * 1_000 + MARGIN_MS);
  watch.stop();
  const stoodStillSeconds = lostMs(watch.stalls, lostAt, Date.now()) / 1_000;
  const { audit, history } = await ground.database.inSnapshot(async (query) => ({
    audit: await auditDatabase(query, { graceSeconds: LATE_SECONDS + stoodStillSeconds }),
    history: await readHistory(query),
  }));
  const verdict = judge({
    journal: journal.entries,
    history,
    faults,
    windowMs: WINDOW_MS,
    sweepMs: SWEEP_MS,
    settledAt,
    stalls: watch.stalls,
    ownEnds: [...ground.instances.values()].flatMap(({ name, ownEnds }) =>
      ownEnds.map((how) => ({ instance: name, how })),
    ),
    deadlocks: await ground.database.findDeadlocks(),
  });
  return { findings: [...audit, ...verdict], summary: summarise(faults, journal, history, watch.stalls) };
}

function summarise(
  faults: readonly Injected[],
  { entries }: Journal,
  history: readonly Step[],
  stalls: readonly Stall[],
): string {
  const lost = Math.round(stalls.reduce((sum, { ms }) => sum + ms, 0));
  const stood = `This machine stood still ${stalls.length} times, ${lost} ms in all.`;
  return [renderInjected(faults, entries), renderLoad(entries, history), stood].join('\n');
}

function tell({ kind, instance, from, to, seen }: Injected): void {
  const whom = instance === null ? '' : ` of ${instance}`;
  say(`${kind}${whom}: ${seen.count} ${seen.what}, over after ${to - from} ms`);
}

await runProgram({ usage: USAGE, parse: parseChaosArguments, run: chaos });
