// FOCUS 1.0: every column of the specification, as its own files describe them.
// Source: FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec, tag v1.0, specification/columns.

export interface SpecifiedColumn {
  readonly name: string
  readonly type: 'String' | 'Decimal' | 'Date/Time' | 'JSON'
  readonly level: 'Mandatory' | 'Conditional' | 'Recommended'
  readonly mayBeNull: boolean
}

const TABLE = `
AvailabilityZone String Recommended True
BilledCost Decimal Mandatory False
BillingAccountId String Mandatory False
BillingAccountName String Mandatory True
BillingCurrency String Mandatory False
BillingPeriodEnd Date/Time Mandatory False
BillingPeriodStart Date/Time Mandatory False
ChargeCategory String Mandatory False
ChargeClass String Mandatory True
ChargeDescription String Mandatory True
ChargeFrequency String Recommended False
ChargePeriodEnd Date/Time Mandatory False
ChargePeriodStart Date/Time Mandatory False
CommitmentDiscountCategory String Conditional True
CommitmentDiscountId String Conditional True
CommitmentDiscountName String Conditional True
CommitmentDiscountStatus String Conditional True
CommitmentDiscountType String Conditional True
ConsumedQuantity Decimal Conditional True
ConsumedUnit String Conditional True
ContractedCost Decimal Mandatory False
ContractedUnitPrice Decimal Conditional True
EffectiveCost Decimal Mandatory False
InvoiceIssuerName String Mandatory False
ListCost Decimal Mandatory False
ListUnitPrice Decimal Conditional True
PricingCategory String Conditional True
PricingQuantity Decimal Mandatory True
PricingUnit String Mandatory True
ProviderName String Mandatory False
PublisherName String Mandatory False
RegionId String Conditional True
RegionName String Conditional True
ResourceId String Conditional True
ResourceName String Conditional True
ResourceType String Conditional True
ServiceCategory String Mandatory False
ServiceName String Mandatory False
SkuId String Conditional True
SkuPriceId String Conditional True
SubAccountId String Conditional True
SubAccountName String Conditional True
Tags JSON Conditional True`

export const SPECIFICATION: readonly SpecifiedColumn[] = TABLE.trim()
  .split('\n')
  .map((line) => {
    const [name = '', type, level, nullable] = line.split(' ')
    return { name, type, level, mayBeNull: nullable === 'True' } as SpecifiedColumn
  })

/** Columns that are null together, or in the rows of one kind only. */
export const ALLOWED_VALUES: Readonly<Record<string, readonly string[]>> = {
  BillingCurrency: ['USD'],
  ChargeCategory: ['Usage', 'Purchase', 'Tax', 'Credit', 'Adjustment'],
  ChargeClass: ['', 'Correction'],
  ChargeFrequency: ['One-Time', 'Recurring', 'Usage-Based'],
  PricingCategory: ['', 'Standard', 'Committed', 'Dynamic', 'Other'],
  ServiceCategory: ['AI and Machine Learning'],
}
