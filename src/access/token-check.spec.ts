import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { errors, type JWTPayload } from 'jose';
import { tokenCheckOf } from './token-check.js';

const SECRET = 'a secret that only the tests have: 0123456789';
const ISSUER = 'https://identity.example';
const AUDIENCE = 'conference-booking';
const KEYS_KEPT_MS = 1_000;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** What may be found in the place of any character. */
const ODD = `${ALPHABET}+/=. ü`;

const checks = [
  { issuer: null, audience: null },
  { issuer: ISSUER, audience: null },
  { issuer: null, audience: AUDIENCE },
  { issuer: ISSUER, audience: AUDIENCE },
].map((expected) =>
  tokenCheckOf({ mode: 'jwt', keys: { secret: SECRET }, roleClaim: 'role', ...expected }, KEYS_KEPT_MS),
);
const check = fc.constantFrom(...checks);

const USUAL = ['{"alg":"HS256"}', '{"alg":"HS256","typ":"JWT"}', '{"typ":"JWT","alg":"HS256"}'];
const UNUSUAL = [
  '{"alg":"none"}',
  '{"alg":"HS512"}',
  '{"alg":"RS256"}',
  '{"alg":"hs256"}',
  '{ "alg": "HS256" }',
  '{"alg":"HS256","kid":"one"}',
  '{"alg":"HS256","crit":["exp"],"exp":1}',
  '{"alg":"HS256","b64":false,"crit":["b64"]}',
  '{"alg":"HS256","alg":"none"}',
  '{}',
  'null',
  '',
];

/** What no serializer writes, and a signature may stand under all the same. */
const ODD_TEXTS = [
  '',
  'null',
  '[]',
  '"text"',
  '{"sub":"ada1","exp":',
  ...[
    '"sub":"ada1","exp":9999999999,"exp":1',
    '"sub":"ada1","exp":1,"exp":9999999999',
    '"sub":"bob2","sub":"ada1","exp":9999999999',
    '"\\u0073ub":"ada1","exp":9999999999',
    '"sub":"ada1","exp":1e999',
    '"sub":"ada1","exp":9999999999.5',
    '"sub":"ada1","exp":9999999999,"__proto__":{"nbf":9999999999}',
    '"__proto__":{"sub":"ada1","exp":9999999999}',
  ].map((claimed) => `{${claimed},"iss":"${ISSUER}","aud":"${AUDIENCE}"}`),
  `\uFEFF{"sub":"ada1","exp":9999999999,"iss":"${ISSUER}","aud":"${AUDIENCE}"}`,
];

/** A claim that is left out. */
const LEFT_OUT = Symbol('LEFT_OUT');
/** Seconds from now. None so near to where it counts that a tick of the clock meanwhile would decide. */
const soon = fc.constantFrom(-3_600, -8, -2, 60, 3_600);
const junk = fc.constantFrom<unknown>(
  null,
  true,
  '',
  '1',
  '9999999999',
  [9_999_999_999],
  -1,
  1e300,
  [],
  ['a'],
  {},
  'ada1',
  AUDIENCE,
  ISSUER,
);
const mostly = <Value>(likely: fc.Arbitrary<Value>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 6, arbitrary: likely }, { weight: 1, arbitrary: junk }, fc.constant(LEFT_OUT));
const at = (seconds: number): number => Math.floor(Date.now() / 1_000) + seconds;

const claims = fc
  .record({
    sub: mostly(fc.stringMatching(/^[A-Za-z0-9]{1,8}$/)),
    exp: mostly(fc.oneof({ weight: 3, arbitrary: fc.constant(60) }, soon).map(at)),
    nbf: fc.oneof({ weight: 6, arbitrary: fc.constant(LEFT_OUT) }, mostly(soon.map(at))),
    iat: mostly(soon.map(at)),
    iss: mostly(fc.constant(ISSUER)),
    aud: mostly(fc.constantFrom<unknown>(AUDIENCE, [AUDIENCE], ['another', AUDIENCE])),
    role: mostly(fc.constantFrom('organizer', 'Veranstalterin für Köln')),
  })
  .map((all) => JSON.stringify(Object.fromEntries(Object.entries(all).filter(([, value]) => value !== LEFT_OUT))));
const payload = fc.oneof({ weight: 12, arbitrary: claims }, { weight: 2, arbitrary: fc.constantFrom(...ODD_TEXTS) });

const letterOf = (text: string): fc.Arbitrary<string> => fc.nat(text.length - 1).map((index) => text.charAt(index));
/** A change of one place of a token, or what may be done to all of it. */
const damage = fc.oneof(
  fc.tuple(fc.nat(), letterOf(ODD)).map(([where, letter]) => (token: string): string => {
    const index = where % token.length;
    return token.slice(0, index) + letter + token.slice(index + 1);
  }),
  letterOf(ALPHABET).map(
    (letter) =>
      (token: string): string =>
        token.slice(0, -1) + letter,
  ),
  fc.nat().map(
    (where) =>
      (token: string): string =>
        token.slice(0, where % token.length),
  ),
  fc.constantFrom('=', '.', 'A', ' ').map(
    (more) =>
      (token: string): string =>
        token + more,
  ),
  fc.constantFrom('=', '.', ' ').map(
    (more) =>
      (token: string): string =>
        more + token,
  ),
);

const encode = (text: string): string => Buffer.from(text).toString('base64url');

function sign(header: string, body: string, secret = SECRET, hash = 'sha256'): string {
  const signed = `${encode(header)}.${encode(body)}`;
  return `${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`;
}

/** What jose makes of a token; null: it refuses it. Whatever else goes wrong is no verdict. */
async function inFull(token: string, of: (typeof checks)[number]): Promise<JWTPayload | null> {
  try {
    return await of.inFull(token);
  } catch (error) {
    if (error instanceof errors.JOSEError) return null;
    throw error;
  }
}

describe('the short way of a token with a shared secret', () => {
  it('takes nothing that jose does not take, and with the same claims', async () => {
    let taken = 0;
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(check, fc.constantFrom(...USUAL), payload, async (of, header, body) => {
        const token = sign(header, body);
        const [claimed, byJose] = [of.atOnce(token), await inFull(token, of)];
        if (claimed !== null) expect(claimed).toEqual(byJose);
        taken += claimed === null ? 0 : 1;
        refused += byJose === null ? 1 : 0;
      }),
      { numRuns: 1_000 },
    );
    // Neither of them is tried by accident only.
    expect(Math.min(taken, refused)).toBeGreaterThan(100);
  });

  it.each(USUAL)('takes a good token with the header %s, whatever it claims beside', (header) => {
    const good = { sub: 'ada1', exp: at(60), iss: ISSUER, aud: AUDIENCE };
    for (const more of [
      {},
      { iat: at(0), nbf: at(-1) },
      { role: 'Veranstalterin für Köln', realm_access: { roles: [] } },
    ]) {
      const body = { ...good, ...more };
      for (const of of checks) expect(of.atOnce(sign(header, JSON.stringify(body)))).toEqual(body);
    }
  });

  const good = JSON.stringify({ sub: 'ada1', exp: at(3_600), iss: ISSUER, aud: AUDIENCE });
  // As long as it takes for its base64url to end with its last byte.
  const whole = good.padEnd(Math.ceil(good.length / 3) * 3);
  it.each([
    ['that are no text', Buffer.from(good.replace('ada1', 'ada1","name":"\xff'), 'latin1').toString('base64url')],
    ['with a letter too many', `${encode(whole)}A`],
    ['with padding', `${encode(`${whole} `)}==`],
  ])('takes no claims %s', (_what, encoded) => {
    const signedAs = (claimed: string): string => {
      const signed = `${encode('{"alg":"HS256"}')}.${claimed}`;
      return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
    };
    for (const of of checks) {
      expect(of.atOnce(signedAs(encode(whole)))).not.toBeNull();
      expect(of.atOnce(signedAs(encoded))).toBeNull();
    }
  });

  it('takes no token that was changed', () => {
    fc.assert(
      fc.property(check, fc.constantFrom(...USUAL), claims, damage, (of, header, body, change) => {
        const token = sign(header, body);
        const changed = change(token);
        // Also not where jose would: a signature of other letters may stand for the same bytes, and is no reason to trust.
        if (changed !== token) expect(of.atOnce(changed)).toBeNull();
      }),
      { numRuns: 1_000 },
    );
  });

  it.each(UNUSUAL)('leaves a token with the header %s to jose', (header) => {
    const body = JSON.stringify({ sub: 'ada1', exp: at(60), iss: ISSUER, aud: AUDIENCE });
    for (const of of checks) {
      expect(of.atOnce(sign(header, body))).toBeNull();
      expect(of.atOnce(`${encode(header)}.${encode(body)}.`)).toBeNull();
    }
  });

  it.each([
    ['another secret', `${SECRET}.`, 'sha256'],
    ['no secret', '', 'sha256'],
    ['another hash', SECRET, 'sha512'],
  ])('does not take what was signed with %s', (_what, secret, hash) => {
    const body = JSON.stringify({ sub: 'ada1', exp: at(60), iss: ISSUER, aud: AUDIENCE });
    for (const of of checks) {
      expect(of.atOnce(sign('{"alg":"HS256"}', body))).toEqual(JSON.parse(body));
      expect(of.atOnce(sign('{"alg":"HS256"}', body, secret, hash))).toBeNull();
    }
  });

  it('has none for the tokens of an identity provider', () => {
    const of = tokenCheckOf(
      {
        mode: 'jwt',
        keys: { jwksUrl: 'https://identity.example/keys' },
        roleClaim: 'role',
        issuer: null,
        audience: null,
      },
      KEYS_KEPT_MS,
    );
    expect(of.atOnce(sign('{"alg":"HS256"}', JSON.stringify({ sub: 'ada1', exp: at(60) }), ''))).toBeNull();
  });
});
