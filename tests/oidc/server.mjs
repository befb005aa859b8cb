// An OpenID Connect server for tests: oidc-provider on a free port of loopback, in memory.
//
// node server.mjs FOLDER_OF_NODE_MODULES [REDIRECT_URI]      prints its issuer as one line; ends when its standard input does
//
// REDIRECT_URI is that of a second client, aetherfs-web. Whoever signs in is believed; the groups of a person are those that the name states: "alice+ops+dev".

import { createServer } from 'node:http'
import { pathToFileURL } from 'node:url'
import path from 'node:path'

const { Provider } = await import(pathToFileURL(path.join(process.argv[2], 'oidc-provider', 'lib', 'index.js')))

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code'
const account = (id) => ({
  accountId: id,
  claims: () => ({ sub: id, groups: id.split('+').slice(1), email: `${id.split('+')[0]}@example.org` }),
})

const server = createServer()
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'aetherfs',
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token', DEVICE],
        response_types: ['code'],
        redirect_uris: ['http://127.0.0.1/callback'],
      },
      ...(process.argv[3] ? [{
        client_id: 'aetherfs-web',
        token_endpoint_auth_method: 'none',
        response_types: ['code'],
        redirect_uris: [process.argv[3]],
      }] : []),
    ],
    claims: { openid: ['sub'], profile: ['groups'], email: ['email'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['of tests alone'] },
    features: {
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo: (_context, resource) => ({
          scope: '',
          audience: resource,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    findAccount: (_context, id) => account(id),
    pkce: { required: () => true },
    rotateRefreshToken: true,
  })
  server.on('request', provider.callback())
  console.log(issuer)
})
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
