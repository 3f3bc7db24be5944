/** 1–255 ASCII letters and digits, nothing else. */
export const USER_ID = /^[A-Za-z0-9]{1,255}$/;

/** ASCII letters, digits and single inner spaces; the length (1–255) is checked beside it. */
export const PLAIN_TEXT = /^[A-Za-z0-9]+(?: [A-Za-z0-9]+)*$/;
export const PLAIN_TEXT_MAX = 255;

/** True for what a conference's name, a location or a topic may be. */
export function isPlainText(value: string): boolean {
  return value.length <= PLAIN_TEXT_MAX && PLAIN_TEXT.test(value);
}
