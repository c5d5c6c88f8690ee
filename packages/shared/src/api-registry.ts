/** Credentials for registries as clients send them: the body of POST /auth and, encoded, X-Registry-Auth. */
import { type Static, Type } from 'typebox';
import { OptionalField } from './api-schema.ts';

const Text = OptionalField(Type.String());

export const RegistryAuthSchema = Type.Object({
  username: Text,
  password: Text,
  serveraddress: Text,
  /** An OAuth2 refresh token, in place of a password. */
  identitytoken: Text,
  /** A bearer token. */
  registrytoken: Text,
});
export type RegistryAuth = Static<typeof RegistryAuthSchema>;

export const RegistryLoginSchema = Type.Object({
  /** What the client shows. */
  Status: Type.String(),
  /** What the client stores in place of the password; may be empty. */
  IdentityToken: Type.String(),
});
export type RegistryLogin = Static<typeof RegistryLoginSchema>;
