import { expectEqual, expectList, expectRefusal } from './expect.js';
import { asConference } from './shapes.js';
import { type World } from './world.js';

/** Soonest first, page by page, each conference once. Throws ExpectationFailed. */
export async function pagesOfConferences(world: World): Promise<void> {
  const topic = world.topic('pages');
  const names: string[] = [];
  for (let count = 0; count < 5; count += 1) names.push((await world.conference({ topics: [topic] })).name);
  await world.conference();

  const seen: string[] = [];
  for (let pages = 0; pages < 4; pages += 1) {
    const page = await pageOfNames(world, { topic, limit: '2', ...(seen.length > 0 && { after: seen.at(-1) ?? '' }) });
    seen.push(...page);
    if (page.length < 2) break;
  }
  expectEqual('conferences of the topic, soonest first, in pages of 2', seen, names);
  expectEqual('conferences of the topic on one page of 100', await pageOfNames(world, { topic, limit: '100' }), names);
  expectEqual('conferences of the topic by default', await pageOfNames(world, { topic }), names);
  for (const limit of ['0', '101', '-1', '1.5', 'all']) {
    const answer = await world.api.send('GET', `/conferences?limit=${limit}`);
    expectRefusal(answer, 400, { names: 'limit' });
  }
}

async function pageOfNames(world: World, query: Record<string, string>): Promise<string[]> {
  const answer = await world.api.send('GET', `/conferences?${new URLSearchParams(query).toString()}`);
  return expectList(answer).map((value) => asConference(answer.request, value).name);
}
