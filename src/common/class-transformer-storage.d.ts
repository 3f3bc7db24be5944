/** What class-transformer's decorators have said: not among its exports, and typed elsewhere than it lies. */
declare module 'class-transformer/cjs/storage.js' {
  export { defaultMetadataStorage } from 'class-transformer/types/storage.js';
}
