import { authorization } from './authorization.js';
import { bookingAndCanceling } from './booking-and-canceling.js';
import { cleanUpAtTheStart } from './clean-up-at-the-start.js';
import { concurrentBooking } from './concurrent-booking.js';
import { edgeCases } from './edge-cases.js';
import { expiryAndCycling } from './expiry-and-cycling.js';
import { noBypass } from './no-bypass.js';
import { runScenarios } from './run-scenarios.js';
import { severalCancellations } from './several-cancellations.js';
import { waitlistAndPromotion } from './waitlist-and-promotion.js';
import { zeroSlotsPastAndStress } from './zero-slots-past-and-stress.js';
import { ApiClient } from '../api-client.js';
import { DEFAULT_URL, parseServiceUrl, parseTextOptions, runProgram } from '../client-program.js';
import { World } from './world.js';

const USAGE = `Usage: npm run scenarios -- [--url ${DEFAULT_URL}]

Runs ten scenarios against a running service and fails unless it keeps every word of the contract.
The service's confirmation window may be anything from 1 s to 30 s, and its clock must agree with this machine's.

  --url   where the service listens (default ${DEFAULT_URL})
  --help  this text`;

await runProgram({
  usage: USAGE,
  parse: (args) => parseServiceUrl(parseTextOptions(args, ['url']).url ?? DEFAULT_URL),
  run: async (url) => {
    const api = new ApiClient(url);
    try {
      // A service that is not there is said once, and not ten times.
      await api.conferencesPage({ limit: 1 });
      return await runScenarios(new World(api), [
        ['booking and canceling', bookingAndCanceling],
        ['waitlist and promotion', waitlistAndPromotion],
        ['authorization', authorization],
        ['no bypass', noBypass],
        ['concurrent booking and canceling', concurrentBooking],
        ['several cancellations at once', severalCancellations],
        ['expiry and cycling', expiryAndCycling],
        ['clean-up at the start', cleanUpAtTheStart],
        ['edge cases', edgeCases],
        ['zero slots, past conferences and stress', zeroSlotsPastAndStress],
      ]);
    } finally {
      api.close();
    }
  },
});
