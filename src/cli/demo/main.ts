import { ApiClient } from '../api-client.js';
import { CannotRun, runProgram } from '../client-program.js';
import { type DemoOptions, parseDemoArguments, USAGE } from './arguments.js';
import { planRush } from './plan.js';
import { Progress } from './progress.js';
import { failures, renderReport } from './report.js';
import { playRush } from './rush.js';

/** A conference that starts sooner than this would start while the rush goes on. */
const STARTS_NO_SOONER_MS = 120_000;

await runProgram({ usage: USAGE, parse: parseDemoArguments, run: demo });

async function demo({ url, attendees, seed }: DemoOptions): Promise<number> {
  const api = new ApiClient(url);
  try {
    const soonest = Date.now() + STARTS_NO_SOONER_MS;
    const conferences = (await api.conferences()).filter(({ start }) => Date.parse(start) > soonest);
    if (conferences.length === 0) {
      throw new CannotRun(
        'There is no conference that has yet to start (in two minutes or later): ' +
          'import some first with `npm run import -- FILE.xml --starts-on YYYY-MM-DD`.',
      );
    }
    const plan = planRush(conferences, attendees, seed);
    console.log(
      `${attendees} attendees, ${conferences.length} conferences, ${plan.popular.length} of them popular, seed ${seed}`,
    );
    const result = await playRush(api, plan, new Progress());
    console.log(renderReport(plan, result));
    const sentences = failures(result);
    sentences.forEach((sentence) => console.error(sentence));
    if (sentences.length === 0) console.log('No rule was seen broken, and no answer was unexpected.');
    return sentences.length === 0 ? 0 : 1;
  } finally {
    api.close();
  }
}
