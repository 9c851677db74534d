// The sets of values with which the chart is tried: one for each way that people install it. chart.test.ts renders them,
// server.test.ts shows them to an API server.

/** Values as YAML. */
export const MATRIX: Readonly<Record<string, string>> = {
  default: '',
  minimal: `
controller: { replicas: 1 }
dataplane: { replicas: 1, topologySpread: false, service: { type: ClusterIP } }
networkPolicy: { enabled: false }
podDisruptionBudget: { enabled: false }
alerts: { enabled: false }
metrics: { podMonitor: { enabled: false } }
`,
  ha: `
controller: { replicas: 3 }
dataplane:
  replicas: 6
  workers: 2
  priorityClassName: system-cluster-critical
  resources: { requests: { cpu: "2", memory: 1Gi }, limits: { memory: 1Gi } }
  service: { externalTrafficPolicy: Local, annotations: { example.com/balancer: internal }, loadBalancerClass: example.com/nlb }
podDisruptionBudget: { maxUnavailable: 25% }
metrics: { podMonitor: { force: true, interval: 15s }, labels: { release: monitoring }, series: { perPod: 5000 } }
alerts: { labels: { cluster: one }, runbookURL: "https://example.com/runbooks/", disabled: [AtriumTenantLimited] }
`,
  autoscaled: 'dataplane: { autoscaling: { enabled: true, minReplicas: 3, maxReplicas: 30, target: { cpu: 60 } } }',
  daemonset: `
dataplane:
  kind: DaemonSet
  nodeSelector: { node-role.kubernetes.io/edge: "" }
  tolerations: [{ key: edge, operator: Exists, effect: NoSchedule }]
  service: { type: NodePort }
`,
  hardened: `
networkPolicy:
  apiServerCIDRs: [192.0.2.1/32, "2001:db8::/32"]
  extraIngress: [{ from: [{ ipBlock: { cidr: 198.51.100.0/24 } }], ports: [{ port: 9903 }] }]
  extraEgress: [{ to: [{ ipBlock: { cidr: 203.0.113.0/24 } }], ports: [{ port: 443 }] }]
metrics: { from: [] }
rbac: { aggregateRoles: false }
`,
  'no-network-policy': 'networkPolicy: { enabled: false }',
  'no-monitoring': 'metrics: { podMonitor: { enabled: false } }\nalerts: { enabled: false }',
  'no-crds': 'crds: { install: false }',
  'no-rbac': 'rbac: { create: false }',
  airgapped: `
image:
  repository: registry.example.com/atrium
  digest: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  pullPolicy: Always
  pullSecrets: [{ name: registry }]
`,
  openshift: 'podSecurityContext: { runAsUser: null, runAsGroup: null, fsGroup: null }',
  everything: `
global: { anything: true }
enabled: true
controller: { watchNamespaces: [team-a, team-b] }
dataplane:
  forwardedHeaders: { trust: [10.0.0.0/8] }
  allowEndpoints: [192.0.2.0/24]
  defaultCertificate: wildcard
  drain: { unreadyFor: 15s, timeout: 300s }
  affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key: kubernetes.io/os, operator: In, values: [linux] }] }] } } }
accessLog: { destination: "off" }
serviceAccount: { annotations: { example.com/role: gateway } }
extra:
  labels: { team: platform }
  annotations: { example.com/scan: "false" }
  env: [{ name: NODE_EXTRA_CA_CERTS, value: /extra/ca.crt }]
  volumes: [{ name: extra, configMap: { name: extra } }]
  volumeMounts: [{ name: extra, mountPath: /extra }]
  objects: [{ apiVersion: v1, kind: ConfigMap, metadata: { name: extra }, data: { "ca.crt": "" } }]
`,
}

/** Values that must be refused, each with what the message has to name. */
export const RUBBISH: readonly (readonly [values: string, named: string])[] = [
  ['dataplane: { replica: 3 }', 'replica'],
  ['dataplan: { replicas: 3 }', 'dataplan'],
  ['dataplane: { replicas: three }', 'replicas'],
  ['dataplane: { replicas: -1 }', 'replicas'],
  ['dataplane: { kind: StatefulSet }', 'kind'],
  ['dataplane: { workers: many }', 'workers'],
  ['dataplane: { workers: 0 }', 'workers'],
  ['dataplane: { drain: { timeout: 1h } }', 'timeout'],
  ['dataplane: { drain: { timeout: 45 } }', 'timeout'],
  ['dataplane: { service: { type: ExternalName } }', 'type'],
  ['dataplane: { service: { ports: { http: 0 } } }', 'http'],
  ['dataplane: { forwardedHeaders: { trust: [everybody] } }', 'trust'],
  ['dataplane: { allowEndpoints: 10.0.0.0/8 }', 'allowEndpoints'],
  ['dataplane: { resources: { request: { cpu: 1 } } }', 'resources'],
  ['dataplane: { resources: { requests: { cpu: lots } } }', 'cpu'],
  ['image: { pullPolicy: Sometimes }', 'pullPolicy'],
  ['image: { digest: latest }', 'digest'],
  ['controller: { replicas: 2.5 }', 'replicas'],
  ['controller: { watchNamespaces: [Not_A_Name] }', 'watchNamespaces'],
  ['podDisruptionBudget: { maxUnavailable: 0 }', 'maxUnavailable'],
  ['podDisruptionBudget: { maxUnavailable: half }', 'maxUnavailable'],
  ['networkPolicy: { apiServerCIDRs: [10.0.0.1] }', 'apiServerCIDRs'],
  ['alerts: { slo: { availability: 100 } }', 'availability'],
  ['tenancy: { hostTransferDelay: soon }', 'hostTransferDelay'],
  ['accessLog: { destination: file }', 'destination'],
  ['extra: { labels: { team: 7 } }', 'team'],
  ['rbac: { create: "yes" }', 'create'],
]
