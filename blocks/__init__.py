"""What an operator configures, as Prefect blocks: accounts at Stripe and Salesforce, Slack, mail, policies, alerts.

`prefect block register -m blocks` makes their types known; `o2c init` also fills them from the settings.
"""

from blocks.alert_thresholds import AlertThresholds
from blocks.billing_policy import BillingPolicy
from blocks.dunning_policy import DunningPolicyBlock
from blocks.salesforce_org import SalesforceOrg
from blocks.slack_channel import SlackChannel
from blocks.smtp_server import SmtpServer
from blocks.stripe_account import StripeAccount

__all__ = [
    "AlertThresholds",
    "BillingPolicy",
    "DunningPolicyBlock",
    "SalesforceOrg",
    "SlackChannel",
    "SmtpServer",
    "StripeAccount",
]
