/** The registry client: one set of connections for each registry and mirror. */
import { TsdError } from '@tsd/shared/errors';
import type { BackOff } from './back-off.ts';
import { CERTIFICATE_FOLDERS } from './certificates.ts';
import { discardBody } from './connections.ts';
import { type Lookup, systemLookup } from './host-addresses.ts';
import { createHostTrust } from './host-trust.ts';
import { createHttpRepository } from './http-repository.ts';
import { type Environment, proxyRules } from './proxy-rules.ts';
import { createEndpoint, type EndpointSettings, type RegistryEndpoint } from './registry-endpoint.ts';
import {
  DOCKER_HUB_DOMAIN,
  domainOfServerAddress,
  parseInsecureRegistries,
  parseMirror,
  registryHost,
} from './registry-hosts.ts';
import type { RegistryClient } from './remote-repository.ts';
import type { Timeouts } from './request-watch.ts';
import { responseError } from './response-error.ts';

export interface RegistryClientSettings {
  /** `--registry-mirror`: URLs that are asked before Docker Hub. */
  readonly registryMirrors: readonly string[];
  /** `--insecure-registry`: hosts and networks that may speak HTTP. */
  readonly insecureRegistries: readonly string[];
  /** For proxies and SSL_CERT_FILE. */
  readonly env: Environment;
  readonly userAgent: string;
  /** Default: /etc/tsd/certs.d and /etc/docker/certs.d. */
  readonly certificateFolders?: readonly string[];
  /** Default: the system's. */
  readonly lookup?: Lookup;
  readonly timeouts?: Timeouts;
  readonly backOff?: BackOff;
}

const TIMEOUTS: Timeouts = { connectMs: 10_000, stallMs: 30_000 };
const MIRROR_ATTEMPTS = 2;
const BACK_OFF: BackOff = { attempts: 5, firstDelayMs: 500, maxDelayMs: 30_000 };

/** @throws TsdError `bad_parameter` for a mirror, an insecure registry or a proxy that cannot be */
export function createRegistryClient(settings: RegistryClientSettings): RegistryClient {
  const proxyFor = proxyRules(settings.env);
  const common: EndpointSettings = {
    env: settings.env,
    proxyFor,
    certificateFolders: settings.certificateFolders ?? CERTIFICATE_FOLDERS,
    trust: createHostTrust(
      parseInsecureRegistries(settings.insecureRegistries),
      proxyFor,
      settings.lookup ?? systemLookup,
    ),
    timeouts: settings.timeouts ?? TIMEOUTS,
    backOff: settings.backOff ?? BACK_OFF,
    userAgent: settings.userAgent,
  };
  // Someone else has it too.
  const mirrorSettings = { ...common, backOff: { ...common.backOff, attempts: MIRROR_ATTEMPTS } };
  const mirrors = settings.registryMirrors.map((text) => createEndpoint(parseMirror(text), mirrorSettings));
  const registries = new Map<string, RegistryEndpoint>();
  const registryOf = (domain: string): RegistryEndpoint => {
    const host = registryHost(domain);
    const known = registries.get(host) ?? createEndpoint(host, common);
    registries.set(host, known);
    return known;
  };

  return {
    repository(reference, credentials, access) {
      return createHttpRepository(reference, access, {
        registry: registryOf(reference.domain).session(credentials),
        // Nobody's credentials for the hub are a mirror's business.
        mirrors: reference.domain === DOCKER_HUB_DOMAIN ? mirrors.map((mirror) => mirror.session(null)) : [],
      });
    },

    async checkCredentials(serverAddress, credentials, signal) {
      let identityToken = '';
      const session = registryOf(domainOfServerAddress(serverAddress)).session(credentials, (token) => {
        identityToken = token;
      });
      const response = await session
        .request({ method: 'GET', target: '', scopes: [], signal })
        .catch((error: unknown) => {
          if (!(error instanceof TsdError) || error.code !== 'unauthorized') throw error;
          const { host } = session.endpoint;
          const text = `login attempt to ${host} failed with status: 401 Unauthorized: ${error.message}`;
          throw new TsdError('unauthorized', text, { cause: error });
        });
      if (response.status !== 200) throw await responseError(response);
      await discardBody(response);
      return identityToken;
    },

    async close() {
      await Promise.all([...mirrors, ...registries.values()].map((endpoint) => endpoint.close()));
    },
  };
}
