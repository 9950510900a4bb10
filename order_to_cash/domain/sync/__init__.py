"""What Stripe says, as Salesforce should show it. Pure."""
