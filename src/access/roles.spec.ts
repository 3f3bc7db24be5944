import { claimsWithRole, hasRole } from './roles.js';

describe('the role of a token', () => {
  it.each<[object, string]>([
    [{ role: 'organizer' }, 'role'],
    [{ roles: ['staff', 'organizer'] }, 'roles'],
    [{ realm_access: { roles: ['organizer'] } }, 'realm_access.roles'],
    [{ 'https://events.example/role': 'organizer' }, 'https://events.example/role'],
  ])('is there in %j by %s', (claims, claim) => {
    expect(hasRole({ ...claims }, claim, 'organizer')).toBe(true);
  });

  it.each<[object, string]>([
    [{}, 'role'],
    [{ role: 'organizers' }, 'role'],
    [{ role: null }, 'role'],
    [{ role: { organizer: true } }, 'role'],
    [{ role: 'staff organizer' }, 'role'],
    [{ role: [['organizer']] }, 'role'],
    [{ roles: ['organizer'] }, 'role'],
    [{ realm_access: null }, 'realm_access.roles'],
    [{ realm_access: 'organizer' }, 'realm_access.roles'],
    [{}, 'constructor.name'],
  ])('is not there in %j by %s', (claims, claim) => {
    expect(hasRole({ ...claims }, claim, 'organizer')).toBe(false);
  });

  it.each(['role', 'realm_access.roles'])('is minted where it is looked for: %s', (claim) => {
    expect(hasRole(claimsWithRole(claim, 'organizer'), claim, 'organizer')).toBe(true);
  });
});
