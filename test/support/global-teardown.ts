/** Ends what global-setup.ts started, when the last project that uses it is done. */
export default async function tearDown(): Promise<void> {
  const ground = globalThis.testGround;
  if (!ground || --ground.users > 0) return;
  globalThis.testGround = undefined;
  await ground.end();
}
