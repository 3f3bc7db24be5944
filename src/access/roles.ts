/** Whoever has this role may publish conferences, and act for others. Everybody else is an attendee. */
export const ORGANIZER = 'organizer';

/**
 * Whether a token's claims give a role: the claim is the role, or a list that has it.
 * @param claim the claim's name, or the path to it with dots between, such as `realm_access.roles`
 */
export function hasRole(claims: Readonly<Record<string, unknown>>, claim: string, role: string): boolean {
  const value = claims[claim] ?? claim.split('.').reduce<unknown>(memberOf, claims);
  return Array.isArray(value) ? value.includes(role) : value === role;
}

/** The claims that give a role, for a token. */
export function claimsWithRole(claim: string, role: string): Record<string, unknown> {
  return claim.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), role) as Record<string, unknown>;
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}
