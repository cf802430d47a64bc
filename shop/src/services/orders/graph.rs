//! orders as a subgraph: the type `Order`, and what a `User` of the graph has of them. The functions and
//! the rules are those of the HTTP interface: an order is its customer's and the staff's.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_graphql::{
    ComplexObject, Context, EmptyMutation, EmptySubscription, Enum, ID, Object, Schema,
    SimpleObject,
};
use axum::Router;

use super::domain::{Flow, Item, Status};
use super::read_model;
use super::stock;
use super::store::{self, View};
use crate::support::failure::{Failure, Reply};
use crate::support::graphql::{
    self, Amount, Batch, DateTime, Entities, Place, caller, first, may_act_for, shared, tell,
};
use crate::support::service::Service;
use crate::support::web;

/// The routes.
pub(super) fn router(service: Arc<Service>) -> Router {
    let tracer = service.tracer().clone();
    graphql::router(schema(service), tracer, |request| {
        request.data(Arc::<Asked>::default())
    })
}

fn schema(service: Arc<Service>) -> Schema<Query, EmptyMutation, EmptySubscription> {
    let query = Query(Arc::clone(&service));
    graphql::subgraph(query, EmptyMutation)
        .data(service)
        .finish()
}

/// What one request asks the database and inventory for, each kind at once.
#[derive(Default)]
struct Asked {
    /// Lists of orders.
    pages: Batch<Page, Vec<View>>,
    /// Orders by their ids.
    orders: Batch<String, View>,
    /// What is in stock, by product.
    stock: Batch<String, i64>,
}

/// One page of one customer's orders.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Page {
    after: Option<String>,
    limit: u32,
    user_id: String,
}

/// An order, with the prices of the time when it was placed.
#[derive(SimpleObject)]
struct Order {
    id: ID,
    user_id: ID,
    /// The customer's name when the order was placed.
    user_name: String,
    items: Vec<OrderItem>,
    /// The sum of its lines, in minor units of the currency.
    total: Amount,
    /// ISO 4217.
    currency: String,
    status: OrderStatus,
    /// Why it was cancelled, as a code like `payment-declined`.
    reason: Option<String>,
    flow: OrderFlow,
    /// When it was placed.
    created_at: DateTime,
}

/// A line of an order.
#[derive(SimpleObject)]
#[graphql(complex)]
struct OrderItem {
    product_id: ID,
    quantity: u32,
    /// The price of one piece, in minor units of the order's currency.
    price: Amount,
    #[graphql(skip)]
    place: Place,
}

#[ComplexObject]
impl OrderItem {
    /// How many pieces of the product are in stock now.
    async fn available(&self, ctx: &Context<'_>) -> Option<i32> {
        let stock = tell(ctx, self.place, self.stock(ctx).await)??;
        Some(i32::try_from(stock).unwrap_or(i32::MAX))
    }
}

impl OrderItem {
    async fn stock(&self, ctx: &Context<'_>) -> Reply<Option<i64>> {
        let caller = caller(ctx)?;
        let service = shared::<Arc<Service>>(ctx)?;
        let asked = shared::<Arc<Asked>>(ctx)?;
        let ask = |all: Vec<String>| async move { stock::available(service, caller, &all).await };
        asked.stock.load(self.product_id.0.clone(), ask).await
    }
}

/// Where an order stands.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Status", rename_items = "lowercase")]
enum OrderStatus {
    /// Placed.
    Pending,
    /// Stock, money and shipment are settled.
    Confirmed,
    /// Done.
    Completed,
    /// Given up.
    Cancelled,
}

/// Who drives an order to its end.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Flow", rename_items = "lowercase")]
enum OrderFlow {
    /// A saga calls each service in turn.
    Orchestrated,
    /// Each service acts on the events of the one before.
    Choreographed,
}

/// A customer, of whom this service knows the orders.
#[derive(SimpleObject)]
#[graphql(complex)]
struct User {
    id: ID,
    #[graphql(skip)]
    place: Place,
}

#[ComplexObject]
impl User {
    /// The customer's orders, latest first, for the customer and the staff.
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "Some(20)", desc = "How many, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "The id of the last order of the page before.")] after: Option<ID>,
    ) -> Option<Vec<Order>> {
        let place = self.place;
        let orders = self.list(ctx, first, after).await;
        tell(ctx, place, orders)
    }
}

impl User {
    async fn list(
        &self,
        ctx: &Context<'_>,
        wanted: Option<i32>,
        after: Option<ID>,
    ) -> Reply<Vec<Order>> {
        may_act_for(ctx, &self.id)?;
        let page = Page {
            after: after.map(|id| id.0),
            limit: first(wanted)?,
            user_id: self.id.0.clone(),
        };
        let service = shared::<Arc<Service>>(ctx)?;
        let asked = shared::<Arc<Asked>>(ctx)?;
        let views = asked.pages.load(page, |all| list_all(service, all));
        let views = views.await?;
        let views = views.into_iter().flatten();
        Ok(views.map(|view| Order::told(view, self.place)).collect())
    }
}

struct Query(Arc<Service>);

#[Object]
impl Query {
    /// An order, for its customer and the staff.
    async fn order(&self, ctx: &Context<'_>, id: ID) -> Option<Order> {
        let order = async {
            let caller = caller(ctx)?;
            let order = self.0.read(move |db| store::find(db, &id)).await?;
            order
                .filter(|order| web::may_act_for(caller, &order.user_id))
                .ok_or_else(|| Failure::not_found("order"))
        };
        let place = Place::ELSEWHERE;
        let order = order.await.map(|view| Order::told(view, place));
        tell(ctx, place, order)
    }

    #[graphql(entity)]
    async fn find_user(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<User> {
        let place = Entities::next(ctx)?;
        Ok(User { id, place })
    }

    #[graphql(entity)]
    async fn find_order(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<Option<Order>> {
        let place = Entities::next(ctx)?;
        let order = async {
            let caller = caller(ctx)?;
            let asked = shared::<Arc<Asked>>(ctx)?;
            let order = asked.orders.load(id.0, |all| find_all(&self.0, all));
            order
                .await?
                .filter(|order| web::may_act_for(caller, &order.user_id))
                .ok_or_else(|| Failure::not_found("order"))
        };
        let order = order.await.map(|view| Order::told(view, place));
        Ok(tell(ctx, place, order))
    }
}

/// One statement for all pages of the same size that begin at the same place: that is one, unless a
/// document asks for several lists of one user.
async fn list_all(service: &Service, pages: Vec<Page>) -> Reply<BTreeMap<Page, Vec<View>>> {
    let rows: u64 = pages.iter().map(|page| u64::from(page.limit)).sum();
    if rows > MOST_ORDERS {
        let detail = format!("at most {MOST_ORDERS} orders are answered at once");
        return Err(Failure::invalid(detail));
    }
    let lists = service.read(move |db| {
        let mut lists = BTreeMap::new();
        // Sorted by `after` and `limit` first, so those that go together are neighbours.
        for alike in pages.chunk_by(|a, b| (&a.after, a.limit) == (&b.after, b.limit)) {
            list_alike(db, alike, &mut lists)?;
        }
        Ok(lists)
    });
    lists.await
}

fn list_alike(
    db: &ieum::sql::Reader<'_>,
    pages: &[Page],
    lists: &mut BTreeMap<Page, Vec<View>>,
) -> Reply<()> {
    let Some(Page { after, limit, .. }) = pages.first() else {
        return Ok(());
    };
    let users: Vec<_> = pages.iter().map(|page| page.user_id.as_str()).collect();
    for view in read_model::of_users(db, &users, after.as_deref(), *limit)? {
        let page = Page {
            after: after.clone(),
            limit: *limit,
            user_id: view.user_id.clone(),
        };
        lists.entry(page).or_default().push(view);
    }
    Ok(())
}

/// From the read model in one statement; what it has not seen yet, from its events.
async fn find_all(service: &Service, ids: Vec<String>) -> Reply<BTreeMap<String, View>> {
    let found = service.read(move |db| {
        let seen = read_model::find_all(db, &ids)?;
        let mut known: BTreeMap<_, _> = seen.into_iter().map(|v| (v.id.clone(), v)).collect();
        for id in ids {
            if !known.contains_key(&id)
                && let Some(view) = store::find(db, &id)?
            {
                known.insert(id, view);
            }
        }
        Ok(known)
    });
    found.await
}

impl Order {
    /// An order that is told at this place.
    fn told(view: View, place: Place) -> Self {
        let item = |item: Item| OrderItem {
            product_id: item.product_id.into(),
            quantity: item.quantity,
            price: Amount(item.price),
            place,
        };
        Self {
            id: view.id.into(),
            user_id: view.user_id.into(),
            user_name: view.user_name,
            items: view.items.into_iter().map(item).collect(),
            total: Amount(view.total),
            currency: view.currency,
            status: view.status.into(),
            reason: view.reason,
            flow: view.flow.into(),
            created_at: DateTime(view.created_at),
        }
    }
}

#[cfg(test)]
mod tests;

/// How many orders one request may list.
const MOST_ORDERS: u64 = 10_000;
