/**
 * Three usual places of a node, as configuration files to start from. Each line is a setting like
 * any other: the operator changes what does not fit.
 */
export const NETWORK_PROFILES = ['campus', 'lan', 'public'] as const
export type NetworkProfile = (typeof NETWORK_PROFILES)[number]

const CAMPUS = `# Campus: nothing from outside gets in, and out goes HTTPS alone. This node takes part in full by
# the connections that it makes itself, to nodes that have a public HTTPS address.
network:
  # Nowhere.
  listen: []
  # Other nodes are dialled at this port; an address that you name yourself at any.
  dialPorts: [443]
  # No search on the local network, no distributed hash table.
  mdns: false
  dht: false
`

const LAN = `# LAN: the nodes of one institute or lab find each other by themselves.
network:
  listen:
    - /ip4/0.0.0.0/tcp/7071
  mdns: true
  # For nodes of other institutes, name them: zoarium peers add MULTIADDR, or zoarium join.
  dht: false
`

const PUBLIC = `# Public: a node that others reach from everywhere. Open TCP port 7071 for it, or put a reverse
# proxy in front of its HTTP port and say under which URL (docs/operations.md).
network:
  listen:
    - /ip4/0.0.0.0/tcp/7071
    - /ip6/::/tcp/7071
  mdns: false
  dht: true
# http:
#   publicUrl: https://zoo.institute-a.example
#   behindProxy: true
#   proxies: [127.0.0.1]
`

/** The text of `config.yaml`. */
export const NETWORK_PROFILE_FILES: Readonly<Record<NetworkProfile, string>> = {
  campus: CAMPUS,
  lan: LAN,
  public: PUBLIC,
}
