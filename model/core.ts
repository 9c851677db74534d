// The core kinds that Atrium reads: Service, EndpointSlice, Pod, ReferenceGrant. Pure. Open objects: only what is read
// is listed and checked, the rest is ignored, because these kinds belong to Kubernetes and grow without us.
import { flag, integer, integerOrText, list, map, openObject, optional, text, type Value } from './schema.ts'

const word = (description: string) => text({ description, maxLength: 253 })
const port = (description: string) => integer({ description, minimum: 0, maximum: 65535 })

/** Service, beside its metadata. */
export const serviceBody = openObject(
  {
    spec: optional(
      openObject(
        {
          type: optional(word('ClusterIP, NodePort, LoadBalancer or ExternalName. Default: ClusterIP.')),
          externalName: optional(word('Target of an ExternalName Service; such a Service is never a backend.')),
          selector: optional(
            map(text({ description: 'Label value.', maxLength: 63 }), {
              description: 'Labels of the pods behind the Service.',
              maxProperties: 1000,
            }),
          ),
          ports: optional(
            list(
              openObject(
                {
                  name: optional(word('Name of the port.')),
                  port: port('Number of the port.'),
                  protocol: optional(word('TCP, UDP or SCTP. Default: TCP.')),
                  appProtocol: optional(word('Application protocol.')),
                  targetPort: optional(integerOrText({ description: 'Port of the pods.', maxLength: 63 })),
                },
                { description: 'A port.' },
              ),
              { description: 'Ports.', maxItems: 1000, listType: 'atomic' },
            ),
          ),
        },
        { description: 'What the Service is.' },
      ),
    ),
  },
  { description: 'A Service.' },
)

/** EndpointSlice (discovery.k8s.io/v1), beside its metadata. At most 1000 endpoints, as the API server allows. */
export const endpointSliceBody = openObject(
  {
    addressType: optional(word('IPv4, IPv6 or FQDN.')),
    endpoints: optional(
      list(
        openObject(
          {
            addresses: list(word('An address.'), { description: 'Addresses.', maxItems: 100, listType: 'atomic' }),
            conditions: optional(
              openObject(
                {
                  ready: optional(flag({ description: 'Ready for traffic. Absent means ready.' })),
                  serving: optional(flag({ description: 'Ready, whether terminating or not. Absent means ready.' })),
                  terminating: optional(flag({ description: 'Being shut down. Absent means no.' })),
                },
                { description: 'State of the endpoint.' },
              ),
            ),
            targetRef: optional(
              openObject(
                {
                  kind: optional(word('Kind.')),
                  namespace: optional(word('Namespace.')),
                  name: optional(word('Name.')),
                  uid: optional(word('UID.')),
                },
                { description: 'The Pod behind the endpoint.' },
              ),
            ),
            nodeName: optional(word('Node.')),
            zone: optional(word('Zone.')),
            hostname: optional(word('Hostname.')),
          },
          { description: 'An endpoint.' },
        ),
        { description: 'Endpoints.', maxItems: 1000, listType: 'atomic' },
      ),
    ),
    ports: optional(
      list(
        openObject(
          {
            name: optional(word('Name of the Service port.')),
            port: optional(port('Number of the port of the pods.')),
            protocol: optional(word('TCP, UDP or SCTP. Default: TCP.')),
            appProtocol: optional(word('Application protocol.')),
          },
          { description: 'A port.' },
        ),
        { description: 'Ports.', maxItems: 100, listType: 'atomic' },
      ),
    ),
  },
  { description: 'An EndpointSlice.' },
)

/** Pod, beside its metadata. */
export const podBody = openObject(
  {
    spec: optional(
      openObject(
        {
          hostNetwork: optional(flag({ description: 'The pod has the address of its node.' })),
          nodeName: optional(word('Node.')),
        },
        { description: 'What the Pod is.' },
      ),
    ),
    status: optional(
      openObject(
        {
          phase: optional(word('Pending, Running, Succeeded, Failed or Unknown.')),
          podIP: optional(word('Address.')),
          podIPs: optional(
            list(openObject({ ip: optional(word('Address.')) }, { description: 'An address.' }), {
              description: 'All addresses.',
              maxItems: 16,
              listType: 'atomic',
            }),
          ),
        },
        { description: 'What became of the Pod.' },
      ),
    ),
  },
  { description: 'A Pod.' },
)

/** ReferenceGrant (gateway.networking.k8s.io/v1beta1 and v1), beside its metadata. */
export const referenceGrantBody = openObject(
  {
    spec: openObject(
      {
        from: list(
          openObject(
            {
              group: text({ description: 'API group of the kind that refers.', maxLength: 253 }),
              kind: text({ description: 'Kind that refers.', minLength: 1, maxLength: 63 }),
              namespace: text({ description: 'Namespace that refers.', minLength: 1, maxLength: 63 }),
            },
            { description: 'Who may refer.' },
          ),
          { description: 'Who may refer; any of them.', minItems: 1, maxItems: 16, listType: 'atomic' },
        ),
        to: list(
          openObject(
            {
              group: text({ description: 'API group; empty for the core group.', maxLength: 253 }),
              kind: text({ description: 'Kind that may be referred to.', minLength: 1, maxLength: 63 }),
              name: optional(text({ description: 'Name. Default: all of the kind.', minLength: 1, maxLength: 253 })),
            },
            { description: 'What may be referred to.' },
          ),
          { description: 'What may be referred to; any of them.', minItems: 1, maxItems: 16, listType: 'atomic' },
        ),
      },
      { description: 'The permission.' },
    ),
  },
  { description: 'A permission for references into the namespace.' },
)

/** Namespace, beside its metadata: its labels are metadata, so nothing of it is read here. */
export const namespaceBody = openObject({}, { description: 'A Namespace.' })

export type ServiceBody = Value<typeof serviceBody>
export type EndpointSliceBody = Value<typeof endpointSliceBody>
export type PodBody = Value<typeof podBody>
export type ReferenceGrantBody = Value<typeof referenceGrantBody>
export type NamespaceBody = Value<typeof namespaceBody>
