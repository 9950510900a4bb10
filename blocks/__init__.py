"""What an operator configures, as Prefect blocks: Stripe account, Salesforce org, Slack channel, policy.

`prefect block register -m blocks` makes their types known; `o2c init` also fills them from the settings.
"""

from blocks.billing_policy import BillingPolicy
from blocks.salesforce_org import SalesforceOrg
from blocks.slack_channel import SlackChannel
from blocks.stripe_account import StripeAccount

__all__ = ["BillingPolicy", "SalesforceOrg", "SlackChannel", "StripeAccount"]
